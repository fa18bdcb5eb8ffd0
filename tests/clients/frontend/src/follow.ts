import { createClient, type Client } from "graphql-ws";
import { credentials, GATEWAY } from "./gateway";

interface Answer {
  homeVisitChanged?: { cursor: string; node: { sequence: number } };
}

let deadline: ReturnType<typeof setTimeout>;

const client = createClient({
  url: GATEWAY.replace(/^http/, "ws"),
  connectionParams: credentials,
  retryAttempts: Infinity,
  retryWait: (retries) => new Promise((next) => setTimeout(next, Math.random() * Math.min(250 * 2 ** retries, 30_000))),
  shouldRetry: () => true, // a connection that is refused, too
  keepAlive: 10_000,
  on: {
    // Where a network is gone nobody closes the connection.
    ping: (received) => void (received || (deadline = setTimeout(() => client.terminate(), 5_000))),
    pong: (received) => received && clearTimeout(deadline),
    closed: () => clearTimeout(deadline),
  },
});

/** Subscribes to changes, and again after each cut from the newest one on: left to itself, graphql-ws begins where it first began. */
export const subscribe: Client["subscribe"] = (payload, sink) => {
  const variables = { ...payload.variables };
  let newest = 0;
  return client.subscribe<any, any>( // whatever the sink takes
    { ...payload, variables },
    {
      next(result) {
        const change = (result.data as Answer | null)?.homeVisitChanged;
        if (change) {
          if (change.node.sequence <= newest) return;
          newest = change.node.sequence;
          variables["after"] = change.cursor; // sent at the next try
        }
        sink.next(result);
      },
      error: (reason) => sink.error(reason),
      complete: () => sink.complete(),
    },
  );
};
