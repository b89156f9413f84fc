"""Where the events of a signal stood elsewhere: in a file, or in time."""

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from services.monitor.domain.drift.packing import steps_of

MOST = 512


class Marks:
    """Places by offset of the signal, exact for the newest and thinner with age.

    Args:
        most: that are kept.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._offsets: list[int] = []
        self._places: list[Any] = []

    def add(self, offset: int, place: Any) -> None:
        """Say where the event of this offset stood; offsets never fall."""
        while len(self._offsets) >= self._most:
            half = len(self._offsets) // 2
            self._offsets[:half] = self._offsets[0:half:2]
            self._places[:half] = self._places[0:half:2]
        self._offsets.append(offset)
        self._places.append(place)

    def nearest(self, offset: int) -> tuple[int, Any] | None:
        """The last mark at or before an offset, else the first one: its offset and place."""
        if not self._offsets:
            return None
        index = max(bisect_right(self._offsets, offset) - 1, 0)
        return self._offsets[index], self._places[index]

    def state(self) -> dict[str, Any]:
        """Of places that are whole numbers."""
        return {"offset_steps": steps_of(self._offsets), "place_steps": steps_of(self._places)}

    @classmethod
    def load(cls, state: Mapping[str, Any], most: int = MOST) -> "Marks":
        found = cls(most)
        found._offsets = list(accumulate(state["offset_steps"]))
        found._places = list(accumulate(state["place_steps"]))
        return found
