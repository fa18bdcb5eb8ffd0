// Runs subscriptions over graphql-transport-ws. GraphiQL's own client tries again for most of a minute before it says why it was refused.

const RESUME = "Run it again: with the last `cursor` as `after`, what was missed comes first.";

export function isSubscription({ operationName }, { documentAST } = {}) {
  return documentAST?.definitions.some(
    ({ operation, name }) => operation === "subscription" && (!operationName || name?.value === operationName),
  );
}

// Headers come with `connection_init`, where the server takes a token as well.
export function subscribe(payload, headers = {}) {
  return {
    subscribe(observer) {
      const socket = new WebSocket(location.origin.replace(/^http/, "ws") + location.pathname, "graphql-transport-ws");
      const send = (message) => socket.send(JSON.stringify(message));
      const end = () => {
        socket.onclose = null;
        socket.close();
        observer.complete();
      };
      const receive = {
        connection_ack: () => send({ id: "1", type: "subscribe", payload }),
        ping: () => send({ type: "pong" }),
        next: (message) => observer.next(message.payload),
        error(message) {
          observer.next({ errors: message.payload });
          end();
        },
        complete: end,
      };
      socket.onopen = () => send({ type: "connection_init", payload: headers });
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        receive[message.type]?.(message);
      };
      socket.onclose = ({ code, reason }) => {
        observer.next({ errors: [{ message: reason || `The connection was cut off. ${RESUME}`, extensions: { closed: code } }] });
        end();
      };
      return { unsubscribe: end };
    },
  };
}
