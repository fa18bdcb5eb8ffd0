"""GraphQL over HTTP: requests in, responses out, and what one connection may take."""
