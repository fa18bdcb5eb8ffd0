"""The embedded database: one file, one writer, readers on the loop and in threads."""
