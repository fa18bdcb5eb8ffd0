import { ConnectionHandler, fetchQuery, graphql, requestSubscription } from "relay-runtime";
import type { Disposable, IEnvironment, RecordSourceSelectorProxy } from "relay-runtime";
import type { changesNewestQuery } from "./__generated__/changesNewestQuery.graphql";
import type { changesSubscription } from "./__generated__/changesSubscription.graphql";

type Visit = changesSubscription["response"]["homeVisitChanged"]["node"]["homeVisit"];

/** Asks where to begin. Asked before the list: what changes meanwhile comes after it. */
export async function newestChange(environment: IEnvironment) {
  const query = graphql`
    query changesNewestQuery {
      homeVisitEvents(last: 1) {
        pageInfo {
          endCursor
        }
      }
    }
  `;
  const answer = await fetchQuery<changesNewestQuery>(environment, query, {}).toPromise();
  return answer?.homeVisitEvents.pageInfo.endCursor;
}

/** Follows changes: a visit that is one of the list's is added to it, any other is taken away. */
export function follow(
  environment: IEnvironment,
  variables: changesSubscription["variables"],
  isListed: (visit: Visit) => boolean,
  onChange: (sequence: number) => void,
): Disposable {
  const subscription = graphql`
    subscription changesSubscription($filter: HomeVisitEventFilter, $after: String) {
      homeVisitChanged(filter: $filter, after: $after) {
        cursor
        node {
          sequence
          homeVisit {
            id
            status
            dateTime
            ...describe_visit
          }
        }
      }
    }
  `;
  return requestSubscription<changesSubscription>(environment, {
    subscription,
    variables,
    updater(store, answer) {
      if (answer) place(store, answer.homeVisitChanged.node.homeVisit, isListed);
    },
    onNext(answer) {
      if (answer) onChange(answer.homeVisitChanged.node.sequence);
    },
    onError: console.error,
  });
}

function place(store: RecordSourceSelectorProxy, visit: Visit, isListed: (visit: Visit) => boolean): void {
  const list = ConnectionHandler.getConnection(store.getRoot(), "VisitsList_homeVisits");
  const record = store.get(visit.id);
  if (!list || !record) return;
  ConnectionHandler.deleteNode(list, visit.id);
  if (isListed(visit)) ConnectionHandler.insertEdgeAfter(list, ConnectionHandler.createEdge(store, list, record, "HomeVisitEdge"));
}
