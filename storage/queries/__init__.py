"""SQL as SQLAlchemy builds it, knowing no dialect."""
