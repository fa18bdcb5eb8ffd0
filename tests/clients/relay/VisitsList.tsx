import { fetchQuery, graphql, useLazyLoadQuery, usePaginationFragment, useSubscribeToInvalidationState } from "react-relay";
import type { IEnvironment } from "relay-runtime";
import { describe } from "./describe";
import type { VisitsListQuery, VisitsListQuery$variables } from "./__generated__/VisitsListQuery.graphql";
import type { VisitsList_query$key } from "./__generated__/VisitsList_query.graphql";

const query = graphql`
  query VisitsListQuery($filter: HomeVisitFilter, $first: Int, $last: Int) {
    ...VisitsList_query @arguments(filter: $filter, first: $first, last: $last)
  }
`;

/** The visits that meet a filter, two at a time, and a button for each way on. */
export function VisitsList(variables: VisitsListQuery$variables) {
  const screen = useLazyLoadQuery<VisitsListQuery>(query, variables);
  const { data, hasNext, hasPrevious, loadNext, loadPrevious, refetch } = usePaginationFragment<VisitsListQuery, VisitsList_query$key>(
    graphql`
      fragment VisitsList_query on Query
      @argumentDefinitions(
        filter: { type: "HomeVisitFilter" }
        first: { type: "Int" }
        after: { type: "String" }
        last: { type: "Int" }
        before: { type: "String" }
      )
      @refetchable(queryName: "VisitsListPageQuery") {
        homeVisits(
          filter: $filter
          orderBy: [{ field: DATE_TIME }]
          first: $first
          after: $after
          last: $last
          before: $before
        ) @connection(key: "VisitsList_homeVisits", filters: ["filter"]) {
          __id
          edges {
            node {
              id
              ...describe_visit
            }
          }
        }
      }
    `,
    screen,
  );
  useSubscribeToInvalidationState([data.homeVisits.__id], () => void refetch({}, { fetchPolicy: "network-only" }));
  return (
    <>
      {hasPrevious && <button onClick={() => loadPrevious(2)}>Earlier</button>}
      <ol>
        {data.homeVisits.edges.map(({ node }) => (
          <li key={node.id}>{describe(node)}</li>
        ))}
      </ol>
      {hasNext && <button onClick={() => loadNext(2)}>Later</button>}
    </>
  );
}

/** Asks for a list without showing it. */
export function ask(environment: IEnvironment, variables: VisitsListQuery$variables) {
  return fetchQuery<VisitsListQuery>(environment, query, variables).toPromise();
}
