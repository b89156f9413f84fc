"""Whether a running stack has come to rest, by the metrics of its services."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import httpx

from shared.errors import RetryLater

LAG = "labelstream_consumer_lag_records"
OUTBOX = "labelstream_outbox_pending_records"
REFRESHED_S = 1.1
"""The services refresh these gauges every second."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What is under way: records not processed and records not published, by service."""

    lag: Mapping[str, int]
    outbox: Mapping[str, int]

    @property
    def still(self) -> bool:
        return not any(self.lag.values()) and not any(self.outbox.values())


async def read_flow(client: httpx.AsyncClient, urls: Mapping[str, str]) -> Flow:
    """Ask every service for its lag and its outbox; a service that does not answer counts as one record behind."""
    lag: dict[str, int] = {}
    outbox: dict[str, int] = {}
    for name, url in urls.items():
        try:
            text = (await client.get(f"{url}/metrics")).raise_for_status().text
        except httpx.HTTPError:
            lag[name] = 1
            continue
        sums = _sums(text)
        lag[name], outbox[name] = int(sums[LAG]), int(sums[OUTBOX])
    return Flow(lag, outbox)


def _sums(text: str) -> dict[str, float]:
    """The two gauges summed over their labels, without parsing the hundreds of other lines."""
    sums = {LAG: 0.0, OUTBOX: 0.0}
    for line in text.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name in sums:
            sums[name] += float(line.rpartition(" ")[2])
    return sums


async def until_rest(
    urls: Mapping[str, str], settled: Callable[[], Awaitable[bool]], *, within_s: float, quiet: int = 2
) -> None:
    """Wait until nothing is under way and `settled` agrees, `quiet` times in a row.

    Args:
        urls: service to base URL.
        settled: whether everything that was sent has reached its end.
        within_s: seconds until giving up.
        quiet: readings that must agree; between two of them every gauge is refreshed.

    Raises:
        RetryLater: it did not come to rest; says what is still under way.
    """
    deadline = time.monotonic() + within_s
    agreed = 0
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        while agreed < quiet:
            flow = await read_flow(client, urls)
            done = flow.still and await settled()
            agreed = agreed + 1 if done else 0
            if agreed < quiet and time.monotonic() > deadline:
                raise RetryLater(f"not at rest after {within_s:.0f} s: lag {flow.lag}, outbox {flow.outbox}")
            if agreed < quiet:
                await asyncio.sleep(REFRESHED_S)
