"""Where the events of a signal stood elsewhere: in a file, or in time."""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

MOST = 512


class Marks:
    """Places by offset of the signal, exact for the newest and thinner with age."""

    def __init__(self) -> None:
        self._offsets: list[int] = []
        self._places: list[Any] = []

    def add(self, offset: int, place: Any) -> None:
        """Say where the event of this offset stood; offsets never fall."""
        if len(self._offsets) == MOST:
            half = MOST // 2
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
        return {"offsets": self._offsets, "places": self._places}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "Marks":
        found = cls()
        found._offsets, found._places = list(state["offsets"]), list(state["places"])
        return found
