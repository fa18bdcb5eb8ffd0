"""Documents as people's tools send them, which no default limit may refuse; variables, and the price with them."""

from itertools import product

from graphql import get_introspection_query

_APOLLO_SCREEN = """
query VisitsScreen($filter: HomeVisitFilter, $first: Int!, $after: String) {
  homeVisits(filter: $filter, first: $first, after: $after, orderBy: [{ field: "DATE_TIME" }]) {
    edges {
      cursor
      node {
        ...VisitRow
        __typename
      }
      __typename
    }
    pageInfo {
      hasNextPage
      endCursor
      __typename
    }
    totalCount
    __typename
  }
}

fragment VisitRow on HomeVisit {
  id
  status
  dateTime
  notes
  allowedOperations
  location {
    id
    name
    __typename
  }
  assignedTo {
    ...UserName
    __typename
  }
  careEnquiry {
    id
    careSeeker {
      firstName
      lastName
      email
      phone
      __typename
    }
    assignedTo {
      ...UserName
      __typename
    }
    __typename
  }
  serviceUserContact {
    id
    firstName
    lastName
    __typename
  }
  __typename
}

fragment UserName on User {
  id
  firstName
  lastName
  __typename
}
"""

_RELAY_PAGINATION = """
query LocationVisitsPaginationQuery($count: Int = 100, $cursor: String, $id: ID!) {
  node(id: $id) {
    __typename
    ...LocationVisits_location_1G22uz
    id
  }
}

fragment LocationVisits_location_1G22uz on Location {
  name
  homeVisits(first: $count, after: $cursor) {
    edges {
      node {
        id
        ...VisitRow_visit
        __typename
      }
      cursor
    }
    pageInfo {
      endCursor
      hasNextPage
    }
  }
  id
}

fragment VisitRow_visit on HomeVisit {
  id
  dateTime
  status
  location {
    name
    id
  }
  assignedTo {
    firstName
    lastName
    id
  }
}
"""

_BOTH_DIRECTIONS = """
query Visits($first: Int, $after: String, $last: Int, $before: String) {
  homeVisits(first: $first, after: $after, last: $last, before: $before) {
    nodes { id status dateTime location { id name } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""

_HISTORY = """
query VisitHistory($id: ID!) {
  homeVisit(id: $id) {
    id
    history(first: 50) { nodes { id at changes { field before after } } pageInfo { hasNextPage endCursor } }
  }
}
"""

_CANCEL = """
mutation Cancel($input: CancelHomeVisitInput!) {
  cancelHomeVisit(input: $input) {
    __typename
    ... on CancelHomeVisitSuccess { homeVisit { id status } }
    ... on HomeVisitNotPendingError { homeVisit { id status } }
    ... on UserError { message }
    ... on InvalidInputError { problems { path message } }
  }
}
"""

_TYPE_BY_NAME = (
    '{__type(name: "HomeVisit") { name fields { name type { kind name '
    + "ofType { kind name " * 9
    + "}" * 9
    + " } args { name type { name } } } } }"
)

# Objects: the connection, its `pageInfo`, and per visit the edge, the visit and what it refers to.
USUAL = {
    "Apollo, with __typename everywhere": (_APOLLO_SCREEN, {"first": 100, "filter": {"status": ["PENDING"]}}, 2 + 100 * 8),
    "Relay, a refetched connection": (_RELAY_PAGINATION, {"id": "1", "cursor": "c"}, 1 + (2 + 2) + 100 * 4),
    "pages forwards or backwards": (_BOTH_DIRECTIONS, {"first": None, "after": None, "last": 100, "before": "c"}, 2 + 100 * 2),
    "a visit's history": (_HISTORY, {"id": "1"}, 1 + (2 + 2) + 50 * 11),
    "a type by its name": (_TYPE_BY_NAME, {}, 0),
    "a mutation with each result": (_CANCEL, {"input": {"id": "1"}}, 1 + 1 + 1 + 10),
}

INTROSPECTION = [
    get_introspection_query(*options, type_depth=depth) for options in product((False, True), repeat=7) for depth in (7, 9, 13)
]
