"""Who may do what: the role that each root field and route requires, and the errors of those who lack it."""

from collections.abc import Iterable
from functools import cache
from typing import Final

from graphql import GraphQLError

from storage.caller import Caller, Role
from storage.lifecycle import HomeVisitOperation

# A root field by its type and name, or a route by its method and path.
Permission = tuple[str, str]

INTROSPECTION: Final = ("Query", "__schema")
METRICS: Final = ("GET", "/metrics")

REQUIRED_ROLES: Final[dict[Permission, Role]] = {
    ("Query", "homeVisit"): Role.VIEWER,
    ("Query", "homeVisits"): Role.VIEWER,
    ("Query", "homeVisitEvents"): Role.VIEWER,
    ("Query", "careEnquiries"): Role.VIEWER,
    ("Query", "locations"): Role.VIEWER,
    ("Query", "users"): Role.VIEWER,
    ("Query", "careEnquiry"): Role.VIEWER,
    ("Query", "location"): Role.VIEWER,
    ("Query", "user"): Role.VIEWER,
    ("Query", "node"): Role.VIEWER,
    ("Query", "viewer"): Role.VIEWER,
    ("Subscription", "homeVisitChanged"): Role.VIEWER,
    ("Mutation", "bookHomeVisit"): Role.COORDINATOR,
    ("Mutation", "updateHomeVisit"): Role.COORDINATOR,
    ("Mutation", "cancelHomeVisit"): Role.COORDINATOR,
    ("Mutation", "completeHomeVisit"): Role.COORDINATOR,
    INTROSPECTION: Role.ADMIN,
    METRICS: Role.ADMIN,
}

MUTATIONS: Final[dict[HomeVisitOperation, Permission]] = {
    HomeVisitOperation.UPDATE: ("Mutation", "updateHomeVisit"),
    HomeVisitOperation.CANCEL: ("Mutation", "cancelHomeVisit"),
    HomeVisitOperation.COMPLETE: ("Mutation", "completeHomeVisit"),
}

# Each role may do all that the ones before it may.
_RANKS: Final = (Role.VIEWER, Role.COORDINATOR, Role.ADMIN)
_PERMITTED_ROLES: Final = {permission: frozenset(_RANKS[_RANKS.index(role) :]) for permission, role in REQUIRED_ROLES.items()}

DEVELOPER: Final = Caller("developer", frozenset(Role))


class Unauthenticated(GraphQLError):
    """Nobody is known to be asking; the message says why, and what to do. `reason` is for the log alone."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message, extensions={"code": "UNAUTHENTICATED"})
        self.reason = reason


class Forbidden(GraphQLError):
    """The caller is known and may not do this; the message says which role may."""

    def __init__(self, message: str) -> None:
        super().__init__(message, extensions={"code": "FORBIDDEN"})


class SignInUnavailable(GraphQLError):
    """Who is asking cannot be found out for now, and it is not the caller's fault."""

    def __init__(self) -> None:
        super().__init__(
            "Tokens cannot be checked at the moment: the keys of their issuer cannot be fetched. Try again in a moment.",
            extensions={"code": "OVERLOADED"},
        )


def may(caller: Caller, permission: Permission) -> bool:
    """Tell whether a role of the caller, or one that it implies, is the one that the permission requires."""
    return _may(caller.roles, permission)


@cache
def _may(roles: frozenset[Role], permission: Permission) -> bool:
    # There are few choices of roles, and to look one up costs a tenth of comparing enums.
    return not roles.isdisjoint(_PERMITTED_ROLES[permission])


def require(caller: Caller, permission: Permission) -> None:
    """Raise Forbidden unless the caller has this permission."""
    if may(caller, permission):
        return
    raise Forbidden(f"{permission[1]} needs the role {REQUIRED_ROLES[permission]}. Ask whoever manages your account for it.")


def allowed_operations(caller: Caller, operations: Iterable[HomeVisitOperation]) -> list[HomeVisitOperation]:
    """Filter what can be done to a visit by what the caller may do."""
    return [operation for operation in operations if may(caller, MUTATIONS[operation])]
