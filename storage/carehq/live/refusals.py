"""What an account's refusal of a change means to our callers."""

from storage.errors import InvalidInput, NotHere, Problem, Refusal, UpstreamRefused, UpstreamUnavailable

# What is wrong with our key, and nothing that a caller can mend.
OF_THE_KEY = frozenset({401, 403, 405})


def refusal_of(refused: UpstreamRefused) -> Refusal:
    """Return the refusal that a caller is told of."""
    if refused.status in OF_THE_KEY:
        return UpstreamUnavailable(f"it refuses our key: {refused.hint}", may_be_done=False)
    if refused.arg_errors:
        problems = [Problem(name, "INVALID", " ".join(texts)) for name, texts in refused.arg_errors.items()]
        return InvalidInput(*problems)
    return NotHere(refused.hint or str(refused))
