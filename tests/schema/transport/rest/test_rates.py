"""Calls are counted by the second."""

from schema.transport.rest.rates import CallRates, Rate


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


def test_who_has_to_wait_for_longer_is_told_a_whole_second_that_is_late_enough() -> None:
    rates = CallRates(2, now=Seconds(100.2))

    assert rates.exceeded_for(20) == Rate(2, 0, 121, True)
