import { Client, fetchExchange, subscriptionExchange, type SubscriptionForwarder } from "@urql/core";
import { cacheExchange, type Cache } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";
import type { Sink } from "graphql-ws";
import { isListed } from "../live";
import { subscribe } from "./follow";
import { VisitsScreenDocument } from "./generated/graphql";
import type { BookVisitMutation, VisitChangedSubscription, VisitRowFragment } from "./generated/graphql";
import schema from "./generated/introspection";

const { HOME_VISITS_URL = "http://127.0.0.1:8080/graphql", HOME_VISITS_TOKEN } = process.env;

/** A client whose pages of visits grow into one list per filter and order, and whose list gains what is booked. */
export function createClient(): Client {
  const homeVisits = relayPagination();
  const cache = cacheExchange({
    schema,
    keys: { CareSeeker: () => null, HomeVisitCount: () => null }, // have no ID: part of what holds them
    resolvers: { Query: { homeVisits }, CareEnquiry: { homeVisits }, Location: { homeVisits }, User: { homeVisits } },
    updates: {
      Mutation: {
        bookHomeVisit({ bookHomeVisit: result }: BookVisitMutation, _, cache) {
          if (result?.__typename === "BookHomeVisitSuccess") addRow(cache, result.homeVisit);
        },
      },
      Subscription: {
        homeVisitChanged({ homeVisitChanged: { node } }: VisitChangedSubscription, _, cache) {
          if (isListed(node.homeVisit)) addRow(cache, node.homeVisit);
          else removeRow(cache, node.homeVisit.id);
        },
      },
    },
  });
  const headers: Record<string, string> = HOME_VISITS_TOKEN ? { authorization: `Bearer ${HOME_VISITS_TOKEN}` } : {};
  return new Client({
    url: HOME_VISITS_URL,
    preferGetMethod: false, // the gateway answers POST only
    fetchOptions: { headers },
    exchanges: [cache, subscriptionExchange({ forwardSubscription }), fetchExchange],
  });
}

const forwardSubscription: SubscriptionForwarder = ({ query = "", variables }) => ({
  subscribe: (observer) => ({ unsubscribe: subscribe({ query, variables }, observer as Sink) }),
});

/** Adds a new visit to the list, once, without asking for the list again. */
function addRow(cache: Cache, node: VisitRowFragment): void {
  const firstPage = cache.inspectFields("Query").find((field) => field.fieldName === "homeVisits");
  cache.updateQuery({ query: VisitsScreenDocument, variables: { ...firstPage?.arguments } }, (screen) => {
    if (!screen || screen.homeVisits.edges.some((edge) => edge.node.id === node.id)) return screen;
    const { edges, totalCount } = screen.homeVisits;
    const edge = { __typename: "HomeVisitEdge" as const, cursor: "", node };
    return { homeVisits: { ...screen.homeVisits, edges: [...edges, edge], totalCount: totalCount + 1 } };
  });
}

/** Takes a visit away from the list: what the cache has of the visit itself is new already. */
function removeRow(cache: Cache, id: string): void {
  const firstPage = cache.inspectFields("Query").find((field) => field.fieldName === "homeVisits");
  cache.updateQuery({ query: VisitsScreenDocument, variables: { ...firstPage?.arguments } }, (screen) => {
    if (!screen) return screen;
    return { homeVisits: { ...screen.homeVisits, edges: screen.homeVisits.edges.filter((edge) => edge.node.id !== id) } };
  });
}
