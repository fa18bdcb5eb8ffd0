import { Client, fetchExchange, subscriptionExchange, type SubscriptionForwarder } from "@urql/core";
import { cacheExchange, type Cache } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";
import type { Sink } from "graphql-ws";
import { belongs, placed } from "../placing";
import { subscribe } from "./follow";
import { VisitsScreenDocument } from "./generated/graphql";
import type {
  BookVisitMutation,
  CancelVisitMutation,
  MoveVisitMutation,
  VisitChangedSubscription,
  VisitRowFragment,
  VisitsScreenQuery,
  VisitsScreenQueryVariables,
} from "./generated/graphql";
import schema from "./generated/introspection";

const { HOME_VISITS_URL = "http://127.0.0.1:8080/graphql", HOME_VISITS_TOKEN } = process.env;

/** A client whose pages of visits grow into one list per filter and order, and whose lists follow what is changed. */
export function createClient(): Client {
  const homeVisits = relayPagination();
  const cache = cacheExchange({
    schema,
    keys: { CareSeeker: () => null, HomeVisitCount: () => null }, // have no ID: part of what holds them
    resolvers: { Query: { homeVisits }, CareEnquiry: { homeVisits }, Location: { homeVisits }, User: { homeVisits } },
    updates: {
      Mutation: {
        bookHomeVisit(data: BookVisitMutation, _, cache) {
          follow(cache, data.bookHomeVisit);
        },
        updateHomeVisit(data: MoveVisitMutation, _, cache) {
          follow(cache, data.updateHomeVisit);
        },
        cancelHomeVisit(data: CancelVisitMutation, _, cache) {
          follow(cache, data.cancelHomeVisit);
        },
      },
      Subscription: {
        homeVisitChanged(data: VisitChangedSubscription, _, cache) {
          follow(cache, data.homeVisitChanged.node);
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

/** A result that brings a visit as it is now, also of a refusal. */
type Result = { __typename?: string; homeVisit?: VisitRowFragment } | null | undefined;

function follow(cache: Cache, result: Result): void {
  if (result?.homeVisit) placeInLists(cache, result.homeVisit);
}

/** Puts a changed visit where it belongs in each list that the cache has; one of which only the gateway can tell is asked for again. */
function placeInLists(cache: Cache, node: VisitRowFragment): void {
  const lists = new Map<string, Page[]>();
  for (const { fieldName, arguments: fieldArguments } of cache.inspectFields("Query")) {
    if (fieldName !== "homeVisits") continue;
    const variables = fieldArguments ?? {};
    const isListed = belongs(node, variables);
    const screen = isListed !== undefined && cache.readQuery({ query: VisitsScreenDocument, variables });
    const list = JSON.stringify([variables["filter"], variables["orderBy"]]);
    if (screen) lists.set(list, [...(lists.get(list) ?? []), { ...screen.homeVisits, variables, isListed }]);
    else cache.invalidate("Query", fieldName, variables);
  }
  for (const pages of lists.values()) place(cache, node, pages);
}

/** A page as the cache keeps it, each by itself. */
type Page = VisitsScreenQuery["homeVisits"] & { variables: VisitsScreenQueryVariables; isListed: boolean };

/** Leaves each page with all of the list: what is taken away from one would come back with another. */
function place(cache: Cache, node: VisitRowFragment, pages: Page[]): void {
  const edge = { __typename: "HomeVisitEdge" as const, cursor: "", node };
  const hasPreviousPage = pages.every(({ pageInfo }) => pageInfo.hasPreviousPage);
  const hasNextPage = pages.every(({ pageInfo }) => pageInfo.hasNextPage);
  const isListed = pages.some((page) => page.isListed);
  const all = pages.flatMap((page) => page.edges);
  const edges = placed(all, edge, isListed, { hasPreviousPage, hasNextPage }, (edge) => edge.node);
  for (const { variables } of pages) {
    cache.updateQuery(
      { query: VisitsScreenDocument, variables },
      (screen) => screen && { homeVisits: { ...screen.homeVisits, edges } },
    );
  }
}
