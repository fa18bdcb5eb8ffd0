import { createContext, use, type ReactNode } from "react";
import { useQuery } from "urql";
import { Failure } from "./changes";
import { graphql } from "./generated";
import type { LocationsQuery } from "./generated/graphql";

const LOCATIONS = graphql(`
  query Locations($after: String) {
    locations(first: 100, after: $after) {
      nodes {
        id
        name
        timeZone
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`);

type Location = LocationsQuery["locations"]["nodes"][number];

const AllLocations = createContext<Location[]>([]);

/** The locations that the caller may see, by name: within `Locations`, there is one at least. */
export function useLocations(): Location[] {
  return use(AllLocations);
}

/** Loads the locations, page after page, then shows what offers them. */
export function Locations(props: { children: ReactNode; after?: string | null; earlier?: Location[] }) {
  const { children, after = null, earlier = [] } = props;
  const [{ data, error }] = useQuery({ query: LOCATIONS, variables: { after } });
  if (!data) return error ? <Failure error={error} /> : <p role="status">Loading…</p>;
  const { nodes, pageInfo } = data.locations;
  const locations = [...earlier, ...nodes];
  if (pageInfo.hasNextPage) {
    return (
      <Locations after={pageInfo.endCursor} earlier={locations}>
        {children}
      </Locations>
    );
  }
  if (locations.length === 0) return <p role="status">There is no location that you may see.</p>;
  return <AllLocations value={locations}>{children}</AllLocations>;
}
