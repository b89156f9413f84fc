"""The quality event about error patterns."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from services.qc.domain.conduct import ItemKey
from services.qc.domain.patterns import EXAMPLES, Dispute, Pair
from shared.events import ConfusedPair, ConfusingItem, ErrorPatterns, Quality

DIGITS = 6


def patterns_of(
    project_id: str,
    pairs: Sequence[Pair],
    disputes: Sequence[Dispute],
    items: Sequence[tuple[ItemKey, bool, list[Dispute]]],
    *,
    now: datetime,
) -> Quality | None:
    """Confused classes with examples, and items, each ranked; None where nobody was wrong."""
    if not pairs and not items:
        return None
    examples: dict[tuple[str, str], list[str]] = {}
    for one in sorted(disputes, key=lambda one: (-one.times, one.key)):
        examples.setdefault((one.truth, one.answered), []).append(one.key[1])
    told = ErrorPatterns(
        pairs=tuple(
            ConfusedPair(
                truth=one.truth,
                answered=one.answered,
                answers=one.answers,
                share=round(one.share, DIGITS),
                low=round(one.low, DIGITS),
                high=round(one.high, DIGITS),
                examples=tuple(dict.fromkeys(examples.get((one.truth, one.answered), [])))[:EXAMPLES],
            )
            for one in pairs
        ),
        items=tuple(_item(key[1], gold, several) for key, gold, several in items),
    )
    return Quality(
        project_id=project_id,
        subject="errors",
        sequence=f"patterns:{hashlib.sha256(told.model_dump_json().encode()).hexdigest()[:32]}",
        measurement=told,
        measured_at=now,
    )


def _item(item_id: str, gold: bool, several: Sequence[Dispute]) -> ConfusingItem:
    said = sorted(((one.times, one.answered) for one in several), reverse=True)[:10]
    return ConfusingItem(
        item_id=item_id,
        gold=gold,
        truth=several[0].truth,
        answers=max(one.answers for one in several),
        wrong={answered: times for times, answered in said},
    )
