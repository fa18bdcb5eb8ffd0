"""How a document is run, knowing nothing of HTTP or storage: parsed, limited, priced, planned, executed."""
