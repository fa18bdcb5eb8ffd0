import { ConnectionHandler, fetchQuery, graphql, requestSubscription } from "relay-runtime";
import type { Disposable, IEnvironment, RecordProxy, RecordSourceSelectorProxy } from "relay-runtime";
import { belongs, placed } from "../placing";
import type { changesNewestQuery } from "./__generated__/changesNewestQuery.graphql";
import type { changesSubscription } from "./__generated__/changesSubscription.graphql";
import type { VisitsListQuery$variables } from "./__generated__/VisitsListQuery.graphql";

/** Which visits a list on the screen has: Relay keeps one for each. */
export type ListFilter = NonNullable<VisitsListQuery$variables["filter"]>;

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

/** Follows changes, and has each list keep up with them. */
export function follow(
  environment: IEnvironment,
  variables: changesSubscription["variables"],
  lists: ListFilter[],
  onChange: (sequence: number) => void,
): Disposable {
  const subscription = graphql`
    subscription changesSubscription($filter: HomeVisitEventFilter, $after: String) {
      homeVisitChanged(filter: $filter, after: $after) {
        cursor
        node {
          sequence
          homeVisit {
            ...describe_visit
          }
        }
      }
    }
  `;
  return requestSubscription<changesSubscription>(environment, {
    subscription,
    variables,
    updater(store) {
      placeInLists(store, store.getRootField("homeVisitChanged")?.getLinkedRecord("node"), lists);
    },
    onNext(answer) {
      if (answer) onChange(answer.homeVisitChanged.node.sequence);
    },
    onError: console.error,
  });
}

/** Puts the visit of a result, also of a refusal, where it belongs in each list. */
export function placeInLists(
  store: RecordSourceSelectorProxy,
  result: RecordProxy | null | undefined,
  lists: ListFilter[],
): void {
  const visit = result?.getLinkedRecord("homeVisit");
  if (!visit) return;
  for (const filter of lists) {
    const list = ConnectionHandler.getConnection(store.getRoot(), "VisitsList_homeVisits", { filter });
    if (!list) continue;
    const isListed = belongs(rowOf(visit), { filter, orderBy: [{ field: "DATE_TIME" }] });
    if (isListed === undefined) list.invalidateRecord();
    else place(list, ConnectionHandler.createEdge(store, list, visit, "HomeVisitEdge"), isListed);
  }
}

function place(list: RecordProxy, edge: RecordProxy, isListed: boolean): void {
  const edges = list.getLinkedRecords("edges")?.filter((edge) => edge !== null) ?? [];
  const pageInfo = list.getLinkedRecord("pageInfo");
  const hasPreviousPage = pageInfo?.getValue("hasPreviousPage") === true;
  const hasNextPage = pageInfo?.getValue("hasNextPage") === true;
  const nodeOf = (edge: RecordProxy) => rowOf(edge.getLinkedRecord("node"));
  list.setLinkedRecords(placed(edges, edge, isListed, { hasPreviousPage, hasNextPage }, nodeOf), "edges");
}

function rowOf(visit: RecordProxy | null | undefined) {
  const text = (name: string) => String(visit?.getValue(name));
  const location = String(visit?.getLinkedRecord("location")?.getDataID());
  return { id: String(visit?.getDataID()), dateTime: text("dateTime"), status: text("status"), location: { id: location } };
}
