"""Turns of the loop: straight answers may have so much of each. Other requests take several turns, and must not wait for all."""

import asyncio

# Seconds of one turn, as operations have it of the ordinary way.
SLICE = 0.01


class Turn:
    """What was spent of the present turn of the loop."""

    __slots__ = ("_spent", "_will_end")

    def __init__(self) -> None:
        self._spent = 0.0
        self._will_end = False

    @property
    def is_over(self) -> bool:
        return self._spent >= SLICE

    def spend(self, seconds: float) -> None:
        self._spent += seconds
        # To be told of each turn would cost more than it saves: that much is seldom spent in one.
        if self._spent > SLICE / 2 and not self._will_end:
            self._will_end = True
            asyncio.get_running_loop().call_soon(self._begin_next)

    def _begin_next(self) -> None:
        self._spent, self._will_end = 0.0, False
