import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { relayStylePagination } from "@apollo/client/utilities";
import { OperationTypeNode } from "graphql";
import { webSocketClient } from "./follow";
import possibleTypes from "./generated/possible-types";

const { HOME_VISITS_URL = "http://127.0.0.1:8080/graphql", HOME_VISITS_TOKEN } = process.env;

/** A client whose pages of visits grow into one list per filter and order, in both directions. */
export function createClient(): ApolloClient {
  const headers: Record<string, string> = HOME_VISITS_TOKEN ? { authorization: `Bearer ${HOME_VISITS_TOKEN}` } : {};
  const homeVisits = relayStylePagination(["filter", "orderBy"]);
  return new ApolloClient({
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(webSocketClient),
      new HttpLink({ uri: HOME_VISITS_URL, headers }),
    ),
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
