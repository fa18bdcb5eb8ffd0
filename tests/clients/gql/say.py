"""What the screen tells its user."""

from datetime import datetime
from typing import Any


def say(result: dict[str, Any] | None) -> str:
    """Put a result in words. Answers are plain dictionaries, so the last case meets what the schema gains later."""
    match result:
        case None:
            return "Something went wrong. Please try again."
        case {"__typename": "BookHomeVisitSuccess" | "UpdateHomeVisitSuccess" | "CancelHomeVisitSuccess", "homeVisit": visit}:
            return " Beside: ".join(map(describe, [visit, *result.get("conflicts", [])]))
        case {"__typename": "InvalidInputError", "problems": problems}:
            return "\n".join(f"{'.'.join(problem['path'])}: {problem['message']}" for problem in problems)
        case {"__typename": "HomeVisitNotPendingError" | "VersionConflictError", "message": message, "homeVisit": visit}:
            return f"{message} Now: {describe(visit)}"
        case {"__typename": "HomeVisitNotFoundError" | "IdempotencyConflictError", "message": str(message)}:
            return message
        case _:
            return str(result.get("message", "Done."))


def describe(visit: dict[str, Any]) -> str:
    """Name a visit and the buttons to show beside it."""
    time: datetime = visit["dateTime"]
    seeker = visit["careEnquiry"]["careSeeker"] or {}
    return " ".join([f"{time:%Y-%m-%dT%H:%M:%SZ}", seeker.get("firstName") or "", visit["status"], *visit["allowedOperations"]])
