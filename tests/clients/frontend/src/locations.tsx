import { useQuery } from "urql";
import { graphql } from "./generated";

const LOCATIONS = graphql(`
  query Locations {
    locations(first: 100) {
      nodes {
        id
        name
        timeZone
      }
    }
  }
`);

/** The locations that the caller may see, by name. */
export function useLocations() {
  const [{ data, fetching }] = useQuery({ query: LOCATIONS });
  return { locations: data?.locations.nodes ?? [], fetching };
}
