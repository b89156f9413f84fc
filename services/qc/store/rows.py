"""Rows to values and values to columns."""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from services.qc.domain.fold import predicted
from services.qc.domain.fusing.proposals import Correction, Deed
from services.qc.domain.item import Answer, LiveLabel, Reached, RoundRecord
from services.qc.domain.scale import Kind, symbol_of
from shared.events import Annotation, Audience, Outcome, Path, SkipReason
from shared.labels import SAME, LabelValue, Names

LEAST_SHARE = 0.001
VALUE: TypeAdapter[LabelValue] = TypeAdapter(LabelValue)


def columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows as one array per column, for unnest; `width` columns also where there is no row."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def answer_of(row: Any, names: Names = SAME) -> Answer:
    """One annotation as stored, in present names."""
    return Answer(
        annotation_id=row["annotation_id"],
        round=row["round"],
        outcome=Outcome(row["outcome"]),
        annotator_id=row["annotator_id"],
        role=Audience(row["role"]),
        value=None if row["value"] is None else names.value(VALUE.validate_json(row["value"])),
        symbol=None if row["symbol"] is None else names.symbol(row["symbol"]),
        skip_reason=None if row["skip_reason"] is None else SkipReason(row["skip_reason"]),
        late=row["late"],
        guideline_version=row["guideline_version"],
        saw_proposal=row["saw_proposal"],
        correction=None if row["correction"] is None else Correction(Deed(row["correction"]), row["apart"]),
    )


def annotation_row(event: Annotation, correction: Correction | None = None) -> tuple[Any, ...]:
    """One annotation as columns, in the order of the table without `seq`."""
    return (
        event.annotation_id,
        event.project_id,
        event.item_id,
        event.round,
        event.outcome.value,
        event.annotator_id,
        event.role.value,
        None if event.value is None else event.value.model_dump_json(),
        None if event.value is None else symbol_of(event.value),
        None if event.skip_reason is None else event.skip_reason.value,
        event.gold,
        event.late,
        event.saw_proposal,
        event.duration_ms,
        event.project_version,
        event.guideline_version,
        event.submitted_at,
        _predicted(event),
        event.slice,
        None if correction is None else correction.deed.value,
        None if correction is None else correction.apart,
    )


def _predicted(event: Annotation) -> str | None:
    """The prediction beside a blind answer, shares that matter only; a snapshot learns its weight from it."""
    shares = None if event.saw_proposal or event.value is None or event.gold else predicted(event)
    if shares is None:
        return None
    return json.dumps({name: round(share, 4) for name, share in shares.items() if share >= LEAST_SHARE})


def reached_of(row: Any) -> Reached | None:
    """How the label of a round's row reached the target."""
    if row["snapshot"] is None:
        return None
    return Reached(row["posterior"], row["snapshot"], row["target"], row["most"])


def round_columns(record: RoundRecord) -> tuple[Any, ...]:
    """A round as columns, in the order of the table."""
    ended, reached = record.ended, record.reached
    how = (None,) * 4 if reached is None else (reached.posterior, reached.snapshot, reached.target, reached.most)
    return record.asked, record.expert_asked, None if ended is None else ended.value, record.pooled, *how


def label_of_row(row: Any, names: Names = SAME) -> LiveLabel | None:
    """The live label of an item's row, in present names."""
    if not row["label_version"]:
        return None
    return LiveLabel(
        version=row["label_version"],
        path=Path(row["label_path"]),
        symbol=names.symbol(row["label_symbol"]),
        kind=Kind(row["label_kind"]),
        weights=names.shares(json.loads(row["label_weights"])),
        number=row["label_number"],
        tolerance=row["label_tolerance"] or 0.0,
        given=row["label_given"] or row["label_version"],
        published=row["label_symbol"],
        value=None if row["label_value"] is None else VALUE.validate_json(row["label_value"]),
    )


def label_columns(label: LiveLabel) -> tuple[Any, ...]:
    """A live label as columns, in the order of the table."""
    return (
        label.version,
        label.path.value,
        label.kind.value,
        label.published or label.symbol,
        json.dumps(dict(label.weights)),
        label.number,
        label.tolerance,
        None if label.given in (0, label.version) else label.given,
        None if label.value is None else label.value.model_dump_json(),
    )
