"""Calls are counted by the second, and nonces remembered for as long as what they signed could be sent again."""

from schema.transport.rest.rates import CallRates, Rate, SeenNonces


class Seconds:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_each_key_has_its_calls_anew_each_second() -> None:
    now = Seconds(100.2)
    rates = CallRates(2, now=now)

    first = [rates.take("a") for _ in range(3)] + [rates.take("b")]
    now.now = 101.0
    then = rates.take("a")

    assert first == [Rate(2, 1, 101, False), Rate(2, 0, 101, False), Rate(2, 0, 101, True), Rate(2, 1, 101, False)]
    assert then == Rate(2, 1, 102, False)


def test_headers_are_whole_numbers() -> None:
    headers = Rate(50, 49, 1730476801, exceeded=False).headers

    assert headers == {
        "X-CareHQ-RateLimit-Limit": "50",
        "X-CareHQ-RateLimit-Remaining": "49",
        "X-CareHQ-RateLimit-Reset": "1730476801",
    }


def used_at(*times: tuple[float, str]) -> list[bool]:
    """Return of each nonce, used at these times of one process, whether it was new."""
    now = Seconds(0.0)
    nonces, found = SeenNonces(now=now), []
    for now.now, nonce in times:
        found.append(nonces.use(nonce))
    return found


def test_a_nonce_is_remembered_for_600_seconds_at_least_and_not_for_ever() -> None:
    assert used_at((500.0, "a"), (1099.9, "a")) == [True, False]
    assert used_at((500.0, "a"), (1100.0, "b"), (1701.0, "c"), (1701.0, "a")) == [True] * 4


def test_a_nonce_is_used_once_by_each_key() -> None:
    nonces = SeenNonces()

    assert [nonces.use(nonce) for nonce in (("a", "n"), ("b", "n"), ("a", "n"))] == [True, True, False]
