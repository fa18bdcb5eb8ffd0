import { commitMutation, ConnectionHandler, graphql, ROOT_ID } from "relay-runtime";
import type { IEnvironment, MutationParameters, GraphQLTaggedNode } from "relay-runtime";
import type { visitsBookMutation } from "./__generated__/visitsBookMutation.graphql";
import type { visitsCancelMutation } from "./__generated__/visitsCancelMutation.graphql";
import type { visitsMoveMutation } from "./__generated__/visitsMoveMutation.graphql";

/** Books a visit and adds it to the list, without asking for the list again. */
export async function book(environment: IEnvironment, input: visitsBookMutation["variables"]["input"]) {
  const connections = [ConnectionHandler.getConnectionID(ROOT_ID, "VisitsList_homeVisits")];
  const mutation = graphql`
    mutation visitsBookMutation($input: BookHomeVisitInput!, $connections: [ID!]!) {
      bookHomeVisit(input: $input) {
        __typename
        ... on BookHomeVisitSuccess {
          homeVisit @appendNode(connections: $connections, edgeTypeName: "HomeVisitEdge") {
            id
            version
            ...describe_visit
          }
          conflicts {
            ...describe_visit
          }
        }
        ... on InvalidInputError {
          problems {
            path
            message
          }
        }
        ... on IdempotencyConflictError {
          message
        }
      }
    }
  `;
  const { bookHomeVisit } = await commit<visitsBookMutation>(environment, mutation, { input, connections });
  return bookHomeVisit ?? null;
}

export async function move(environment: IEnvironment, id: string, dateTime: string, expectedVersion: number) {
  const mutation = graphql`
    mutation visitsMoveMutation($input: UpdateHomeVisitInput!) {
      updateHomeVisit(input: $input) {
        __typename
        ... on UpdateHomeVisitSuccess {
          homeVisit {
            id
            version
            ...describe_visit
          }
        }
        ... on HomeVisitNotFoundError {
          message
        }
        ... on HomeVisitNotPendingError {
          message
          homeVisit {
            ...describe_visit
          }
        }
        ... on VersionConflictError {
          message
          homeVisit {
            ...describe_visit
          }
        }
        ... on InvalidInputError {
          problems {
            path
            message
          }
        }
      }
    }
  `;
  const input = { id, dateTime, expectedVersion };
  const { updateHomeVisit } = await commit<visitsMoveMutation>(environment, mutation, { input });
  return updateHomeVisit ?? null;
}

export async function cancel(environment: IEnvironment, id: string) {
  const mutation = graphql`
    mutation visitsCancelMutation($input: CancelHomeVisitInput!) {
      cancelHomeVisit(input: $input) {
        __typename
        ... on CancelHomeVisitSuccess {
          homeVisit {
            ...describe_visit
          }
        }
        ... on HomeVisitNotFoundError {
          message
        }
        ... on HomeVisitNotPendingError {
          message
          homeVisit {
            ...describe_visit
          }
        }
        ... on VersionConflictError {
          message
          homeVisit {
            ...describe_visit
          }
        }
      }
    }
  `;
  const { cancelHomeVisit } = await commit<visitsCancelMutation>(environment, mutation, { input: { id } });
  return cancelHomeVisit ?? null;
}

function commit<Mutation extends MutationParameters>(
  environment: IEnvironment,
  mutation: GraphQLTaggedNode,
  variables: Mutation["variables"],
): Promise<Mutation["response"]> {
  return new Promise((resolve, reject) =>
    commitMutation<Mutation>(environment, { mutation, variables, onCompleted: resolve, onError: reject }),
  );
}
