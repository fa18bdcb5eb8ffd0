import { cacheExchange, Client, fetchExchange, subscriptionExchange } from "urql";
import type { Sink } from "graphql-ws";
import { subscribe } from "./follow";
import { credentials, GATEWAY } from "./gateway";

/**
 * Keeps whole answers, and asks again for those with visits in them after a change. Whether a visit meets a filter such as `attendee`,
 * and how many there are on a day, only the gateway can tell: no rule of its life needs a copy here.
 */
export const client = new Client({
  url: GATEWAY,
  preferGetMethod: false, // the gateway answers POST only
  fetchOptions: () => ({ headers: credentials() }),
  exchanges: [
    cacheExchange,
    subscriptionExchange({
      forwardSubscription: ({ query = "", variables }) => ({
        subscribe: (sink) => ({ unsubscribe: subscribe({ query, variables }, sink as Sink) }),
      }),
    }),
    fetchExchange,
  ],
});
