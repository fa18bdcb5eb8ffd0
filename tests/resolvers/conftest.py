"""The world to ask about, for the tests of resolvers."""

from tests.asking import ask, database, world_file

__all__ = ["ask", "database", "world_file"]
