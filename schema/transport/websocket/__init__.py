"""GraphQL over WebSockets, by the protocol graphql-transport-ws: subscriptions, and all else that HTTP takes."""
