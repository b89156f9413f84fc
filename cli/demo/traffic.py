"""The stream that the demo sends: real images, some of them twice, and a dozen records that cannot be processed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cli.demo.digits import Picture
from cli.demo.poison import Poison, poisons
from cli.demo.setup import PROJECT, SOURCE, item_of
from shared.bus.records import Outgoing, outgoing
from shared.topics import ITEMS

DUPLICATES = 30


@dataclass(frozen=True, slots=True)
class Traffic:
    """Records to send, in order.

    Attributes:
        records: everything.
        poison: the bad ones among them.
        duplicates: how many items come a second time.
    """

    records: Sequence[Outgoing]
    poison: Sequence[Poison]
    duplicates: int


def make_traffic(pictures: Sequence[Picture], *, now: datetime, seed: int, max_bytes: int) -> Traffic:
    """Mix the stream: each duplicate and each poison behind the item that it follows from.

    Args:
        pictures: the items, in order.
        now: the time in the records.
        seed: of the mixture.
        max_bytes: the largest value accepted.
    """
    draw = random.Random(seed)  # noqa: S311  # not for secrets
    items = [item_of(picture, now=now) for picture in pictures]
    good = [outgoing(ITEMS, item, source=SOURCE) for item in items]
    bad = list(poisons(PROJECT, items[0], now=now, max_bytes=max_bytes))
    repeated = draw.sample(good, min(DUPLICATES, len(good)))
    behind: dict[int, list[Outgoing]] = {}
    for record in repeated:
        behind.setdefault(draw.randrange(good.index(record), len(good)), []).append(record)
    for one in bad:
        behind.setdefault(draw.randrange(len(good)), []).append(one.record)
    mixed = [record for place, first in enumerate(good) for record in (first, *behind.get(place, ()))]
    return Traffic(mixed, bad, len(repeated))
