"""How fast the people of a recording answer: no faster than qc learns of them, as people whose work takes days."""

import math
import time
from collections.abc import Mapping

import httpx

from services.qc.domain.stream import FIRST, SCHEDULE

UNWEIGHED = "labelstream_qc_unweighed_answers"
TAKEN_IN = "labelstream_qc_annotations_total"
GROWTH = SCHEDULE[0][1]
READ_S = 60.0
"""A service of a busy machine may take this long to tell its metrics."""
FOLLOWS_S = 0.3
"""The gauge tells of an answer a look of qc after it was taken in."""


class Pace:
    """How many answers may be given now: the growth after which qc takes a snapshot and holds the labels against it.

    Args:
        url: of qc.
        project: whose people answer.
    """

    def __init__(self, url: str, project: str) -> None:
        self._url = f"{url}/metrics"
        self._project = project
        self._seen, self._since = -1, 0.0

    async def room(self, given: int) -> int:
        """Answers that may be given, after so many; 0 or less: none for now."""
        taken_in, unweighed = told(await self._read(), self._project)
        if taken_in != self._seen:
            self._seen, self._since = taken_in, time.monotonic()
        if given > 0 and time.monotonic() - self._since < FOLLOWS_S:
            return 0
        return room(given, taken_in - (taken_in if unweighed is None else unweighed))

    async def believed(self) -> bool:
        """Whether every label was held against what all answers say of their people."""
        return told(await self._read(), self._project)[1] == 0

    async def _read(self) -> str:
        async with httpx.AsyncClient(timeout=READ_S, trust_env=False) as client:
            return (await client.get(self._url)).raise_for_status().text


def room(given: int, known: int) -> int:
    """Answers that may be given after `given`, where labels were held against a snapshot that knows `known`."""
    return max(FIRST, math.ceil(GROWTH * known)) - (given - known)


def told(text: str, project: str) -> tuple[int, int | None]:
    """Of a page of qc's metrics: answers taken in, and how many of them no label was held against; None: unknown."""
    found: Mapping[str, list[float]] = {UNWEIGHED: [], TAKEN_IN: []}
    for line in text.splitlines():
        name, _, rest = line.partition("{")
        if name in found and f'project="{project}"' in rest and 'outcome="skipped"' not in rest:
            found[name].append(float(rest.rpartition(" ")[2]))
    unweighed = found[UNWEIGHED]
    return int(sum(found[TAKEN_IN])), int(unweighed[0]) if unweighed else None
