"""What is kept, and the rules for changing it. Knows nothing of GraphQL, or of requests that come in."""
