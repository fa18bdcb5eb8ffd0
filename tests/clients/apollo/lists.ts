import type { ApolloCache, Reference } from "@apollo/client";
import { belongs, placed, type ListArguments } from "../placing";
import type { VisitRowFragment } from "./generated/graphql";

/** A list as the cache keeps it: one for each filter and order, however many pages came. */
interface List {
  edges: { cursor: string; node: Reference }[];
  pageInfo: { hasPreviousPage: boolean; hasNextPage: boolean };
}

/** Puts the visit of a result, also of a refusal, where it belongs in each list that the cache has. */
export function follow(
  cache: ApolloCache,
  result: { __typename?: string; homeVisit?: VisitRowFragment } | null | undefined,
): void {
  if (result?.homeVisit) placeInLists(cache, result.homeVisit);
}

/** A list of which only the gateway can tell is deleted, so that it is asked for again. */
function placeInLists(cache: ApolloCache, visit: VisitRowFragment): void {
  cache.modify<{ homeVisits: List }>({
    fields: {
      homeVisits(list, { DELETE, readField, storeFieldName, toReference }) {
        const { edges, pageInfo } = list as List;
        const listArguments = JSON.parse(storeFieldName.slice("homeVisits:".length)) as ListArguments;
        const isListed = belongs(visit, listArguments);
        const node = toReference({ __typename: "HomeVisit", id: visit.id });
        if (isListed === undefined || !node) return DELETE;
        const rowOf = (edge: { node: Reference }) => ({
          id: readField<string>("id", edge.node) ?? "",
          dateTime: readField<string>("dateTime", edge.node) ?? "",
        });
        return { ...list, edges: placed(edges, { cursor: "", node }, isListed, pageInfo, rowOf) };
      },
    },
  });
}
