"""What the screen tells its user."""

from typing import assert_never

from home_visits_client import BookVisit, CancelVisit, MoveVisit, VisitRow


def say(answer: BookVisit | MoveVisit | CancelVisit) -> str:
    """Put an answer in words. A result that the schema gains and this match does not handle fails mypy."""
    match answer:
        case BookVisit(book_home_visit=result) | MoveVisit(update_home_visit=result) | CancelVisit(cancel_home_visit=result):
            if result is None:
                return "Something went wrong. Please try again."
    match result.typename__:
        case "BookHomeVisitSuccess":
            return " Beside: ".join(describe(visit) for visit in (result.home_visit, *result.conflicts))
        case "UpdateHomeVisitSuccess" | "CancelHomeVisitSuccess":
            return describe(result.home_visit)
        case "InvalidInputError":
            return "\n".join(f"{'.'.join(problem.path)}: {problem.message}" for problem in result.problems)
        case "HomeVisitNotPendingError" | "VersionConflictError":
            return f"{result.message} Now: {describe(result.home_visit)}"
        case "HomeVisitNotFoundError" | "IdempotencyConflictError":
            return result.message
        case _:
            assert_never(result.typename__)


def describe(visit: VisitRow) -> str:
    """Name a visit and the buttons to show beside it."""
    seeker = visit.care_enquiry.care_seeker
    name = (seeker and seeker.first_name) or ""
    return " ".join([f"{visit.date_time:%Y-%m-%dT%H:%M:%SZ}", name, visit.status, *visit.allowed_operations])
