"""The read API's answers as JSON: one bounded document each."""

from collections.abc import Sequence
from typing import Any

from services.monitor.api.view import Lag, Rates, Watching
from services.monitor.domain.accuracy import Rate
from services.monitor.domain.facts import Facts
from services.monitor.domain.overview import Mix, Overview
from services.monitor.store.reading import Asked, Person
from shared.events import DriftAlarm

Document = dict[str, Any]


def flow_of(view: Overview, rates: Rates, lags: Sequence[Lag]) -> Document:
    return {
        "project": view.project_id,
        "taken_at": view.taken_at.isoformat(),
        "items": dict(view.states),
        "per_second": dict(rates.now),
        "lag": [{"topic": one.topic, "records": one.records, "oldest_s": one.oldest_s} for one in lags],
    }


def classes_of(view: Overview) -> Document:
    return {"project": view.project_id, "taken_at": view.taken_at.isoformat()} | {
        of: _mix(mix) for of, mix in view.mixes.items()
    }


def _mix(mix: Mix) -> Document:
    """`low` and `high` are there where `now` has an interval."""
    classes = [
        {"class": one.name, "now": one.now, "reference": one.reference}
        | ({} if one.low is None else {"low": one.low, "high": one.high})
        for one in mix.shares
    ]
    return {"events_now": mix.now, "events_reference": mix.before, "distance": mix.distance, "classes": classes}


def quality_of(view: Overview) -> Document:
    figures = view.figures
    return {
        "project": view.project_id,
        "taken_at": view.taken_at.isoformat(),
        "paths": [
            {"path": one.path, "labels": one.labels, "opinions_each": one.opinions, "cost_each": one.cost}
            for one in view.paths
        ],
        "accuracy": {path: one._asdict() for path, one in figures.paths().items()},
        "models": {model: _dumped(one) for model, one in figures.models().items()},
        "model_calibration": {model: _dumped(one) for model, one in figures.model_calibration.items()},
        "objects": {
            "per_item": {of: _rate(about.each, "items") for of, about in view.kinds.objects.items()},
            "classes": {of: _mix(mix) for of, mix in view.objects.items()},
            "extent_disagreement": {model: _rate(one, "pairs") for model, one in view.kinds.extent.items()},
            "word_error_rate": {model: _rate(one, "words") for model, one in view.kinds.words.items()},
        },
        "audits": {model: one._asdict() for model, one in view.audits.items()},
        "agreement": _dumped(figures.agreement),
        "agreement_by_class": {name: _dumped(one) for name, one in figures.by_class.items()},
        "calibration": {name: _dumped(one) for name, one in figures.calibration.items()},
        "certificate": _dumped(figures.certificate),
        "confused": [_dumped(pair) for pair in figures.confused],
        "relabels_left": view.budget_left,
    }


def _rate(one: Rate, seen: str) -> Document:
    return {"rate": one.rate, "low": one.low, "high": one.high, seen: one.labels}


def _dumped(value: Any) -> Any:
    return value.model_dump(mode="json") if value is not None else None


def alarms_of(project: str, alarms: Sequence[DriftAlarm]) -> Document:
    return {"project": project, "alarms": [one.model_dump(mode="json") for one in alarms]}


def detectors_of(project: str, about: Watching, *, more: bool) -> Document:
    """`next`: give it as `after` for the page behind this one."""
    rows = [
        {
            "signal": one.signal,
            "slice": one.slice,
            "state": one.state.value,
            "log_evidence": one.log_evidence,
            "log_limit": one.log_limit,
            "share": one.share,
            "reference_events": one.learned,
            "reference_wanted": one.wanted,
            "events": one.seen,
        }
        for one in about.surest
    ]
    last = f"{about.surest[-1].signal}/{about.surest[-1].slice}" if more else None
    return {
        "project": project,
        "expected_false_alarms_per_100k": about.false_alarms,
        "detectors": rows,
        "next": last,
    }


def people_of(project: str, people: Sequence[Person], *, more: bool) -> Document:
    """`next`: give it as `after` for the page behind this one."""
    rows = [
        {
            **one.skill.model_dump(mode="json"),
            "measured_at": one.measured_at.isoformat(),
            "quarantined": one.quarantined,
            "quarantine_reason": one.reason,
        }
        for one in people
    ]
    return {"project": project, "annotators": rows, "next": rows[-1]["annotator_id"] if more else None}


def item_of(project: str, item_id: str, facts: Facts, asked: Sequence[Asked]) -> Document:
    return {
        "project": project,
        "item": item_id,
        "state": facts.state.value if facts.state is not None else None,
        "round": facts.round,
        "label_version": facts.version,
        "path": facts.path.value if facts.path is not None else None,
        "model_generation": facts.generation if facts.generation >= 0 else None,
        "relabels": [_asked(one) for one in asked],
    }


def relabels_of(project: str, asked: Sequence[Asked], *, more: bool) -> Document:
    """`next`: give it as `before` for the page behind this one."""
    rows = [_asked(one) for one in asked]
    return {"project": project, "relabels": rows, "next": rows[-1]["requested_at"] if more else None}


def _asked(one: Asked) -> Document:
    return {
        "item": one.item_id,
        "round": one.round,
        "cause": one.cause,
        "requested_at": one.requested_at.isoformat(),
    }
