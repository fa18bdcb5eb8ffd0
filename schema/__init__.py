"""The words of the API, and how a document in those words is received, priced and run."""
