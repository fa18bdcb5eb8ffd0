import { ApolloClient, HttpLink, InMemoryCache } from "@apollo/client";
import { relayStylePagination } from "@apollo/client/utilities";
import possibleTypes from "./generated/possible-types";

const { HOME_VISITS_URL = "http://127.0.0.1:8080/graphql", HOME_VISITS_TOKEN } = process.env;

/** A client whose pages of visits grow into one list per filter and order, in both directions. */
export function createClient(): ApolloClient {
  const headers: Record<string, string> = HOME_VISITS_TOKEN ? { authorization: `Bearer ${HOME_VISITS_TOKEN}` } : {};
  const homeVisits = relayStylePagination(["filter", "orderBy"]);
  return new ApolloClient({
    link: new HttpLink({ uri: HOME_VISITS_URL, headers }),
    cache: new InMemoryCache({
      ...possibleTypes,
      typePolicies: {
        Query: { fields: { homeVisits } },
        CareEnquiry: { fields: { homeVisits } },
        Location: { fields: { homeVisits } },
        User: { fields: { homeVisits } },
      },
    }),
  });
}
