"""A schema with the contract's shape, small enough to see at once."""

from graphql import build_schema

SCHEMA = build_schema(
    """
interface Node { id: ID! }

type Query {
  homeVisit(id: ID!): HomeVisit
  homeVisits(
    filter: HomeVisitFilter, orderBy: [HomeVisitOrder!], first: Int, after: String, last: Int, before: String
  ): HomeVisitConnection!
  location(id: ID!): Location
  node(id: ID!): Node
  viewer: Viewer!
  "A list with a page size of its own, and a default that is not the usual one."
  events(first: Int = 5): [HomeVisitEvent!]!
}

type Mutation { cancelHomeVisit(input: CancelHomeVisitInput!): CancelHomeVisitResult }

type HomeVisit implements Node {
  id: ID!
  status: String!
  dateTime: String!
  notes: String!
  allowedOperations: [String!]!
  location: Location!
  assignedTo: User
  careEnquiry: CareEnquiry!
  serviceUserContact: ServiceUserContact
  history(first: Int, after: String, last: Int, before: String): HomeVisitEventConnection!
}

type Location implements Node {
  id: ID!
  name: String
  homeVisits(filter: HomeVisitFilter, first: Int, after: String, last: Int, before: String): HomeVisitConnection!
}

type User implements Node {
  id: ID!
  firstName: String
  lastName: String
  homeVisits(filter: HomeVisitFilter, first: Int, after: String, last: Int, before: String): HomeVisitConnection!
}

type CareEnquiry implements Node {
  id: ID!
  careSeeker: CareSeeker
  assignedTo: User
  location: Location
  homeVisits(filter: HomeVisitFilter, first: Int, after: String, last: Int, before: String): HomeVisitConnection!
}

type CareSeeker { firstName: String lastName: String email: String phone: String }
type ServiceUserContact implements Node { id: ID! firstName: String lastName: String careEnquiry: CareEnquiry }
type Viewer { subject: String! roles: [String!]! locations: [Location!] }

type HomeVisitConnection { edges: [HomeVisitEdge!]! nodes: [HomeVisit!]! pageInfo: PageInfo! totalCount: Int! }
type HomeVisitEdge { node: HomeVisit! cursor: String! }
type HomeVisitEventConnection { edges: [HomeVisitEventEdge!]! nodes: [HomeVisitEvent!]! pageInfo: PageInfo! }
type HomeVisitEventEdge { node: HomeVisitEvent! cursor: String! }
type HomeVisitEvent implements Node { id: ID! at: String! homeVisit: HomeVisit! changes: [FieldChange!]! }
type FieldChange { field: String! before: String after: String }
type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }

input HomeVisitFilter { ids: [ID!] status: [String!] keyword: String }
input HomeVisitOrder { field: String! direction: String = "ASC" }
input CancelHomeVisitInput { id: ID! expectedVersion: Int }

union CancelHomeVisitResult = CancelHomeVisitSuccess | HomeVisitNotPendingError | InvalidInputError
interface UserError { message: String! }
type CancelHomeVisitSuccess { homeVisit: HomeVisit! }
type HomeVisitNotPendingError implements UserError { message: String! homeVisit: HomeVisit! }
type InvalidInputError implements UserError { message: String! problems: [InputProblem!]! }
type InputProblem { path: [String!]! message: String! }
"""
)
