"""How a GraphQL document is received, priced, prepared and run."""
