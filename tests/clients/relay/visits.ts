import { commitMutation, graphql } from "relay-runtime";
import type { IEnvironment, MutationParameters, GraphQLTaggedNode } from "relay-runtime";
import { placeInLists, type ListFilter } from "./changes";
import type { visitsBookMutation } from "./__generated__/visitsBookMutation.graphql";
import type { visitsCancelMutation } from "./__generated__/visitsCancelMutation.graphql";
import type { visitsMoveMutation } from "./__generated__/visitsMoveMutation.graphql";

/** Books a visit; each of the lists that it belongs to has it, without being asked for again. */
export async function book(environment: IEnvironment, input: visitsBookMutation["variables"]["input"], lists: ListFilter[]) {
  const mutation = graphql`
    mutation visitsBookMutation($input: BookHomeVisitInput!) {
      bookHomeVisit(input: $input) {
        __typename
        ... on BookHomeVisitSuccess {
          homeVisit {
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
  const { bookHomeVisit } = await commit<visitsBookMutation>(environment, mutation, { input }, lists);
  return bookHomeVisit ?? null;
}

export async function move(environment: IEnvironment, id: string, dateTime: string, expectedVersion: number, lists: ListFilter[]) {
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
  const { updateHomeVisit } = await commit<visitsMoveMutation>(environment, mutation, { input }, lists);
  return updateHomeVisit ?? null;
}

export async function cancel(environment: IEnvironment, id: string, lists: ListFilter[]) {
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
  const { cancelHomeVisit } = await commit<visitsCancelMutation>(environment, mutation, { input: { id } }, lists);
  return cancelHomeVisit ?? null;
}

function commit<Mutation extends MutationParameters>(
  environment: IEnvironment,
  mutation: GraphQLTaggedNode,
  variables: Mutation["variables"],
  lists: ListFilter[],
): Promise<Mutation["response"]> {
  return new Promise((resolve, reject) =>
    commitMutation<Mutation>(environment, {
      mutation,
      variables,
      updater(store, answer) {
        for (const field of Object.keys(answer ?? {})) placeInLists(store, store.getRootField(field as never), lists);
      },
      onCompleted: resolve,
      onError: reject,
    }),
  );
}
