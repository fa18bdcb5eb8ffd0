"""What happened to visits: each change appended in its own transaction, numbered without gaps, and read from there."""
