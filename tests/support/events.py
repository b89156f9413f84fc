"""Valid events with defaults: `item("i7")`, `prediction("i7", confidence=0.4)`; every field can be given.

Times are fixed: `AT` and `at(seconds)` after it. `strategies.py` beside this file draws random ones.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared import events as ev
from shared.events.base import derived_id, entropy
from shared.labels import Choice, ChoiceSchema, LabelValue

PROJECT = "sentiment"
CLASSES = ("negative", "neutral", "positive")
AT = datetime(2025, 1, 1, 12, tzinfo=UTC)
SHA256 = "0" * 64


def at(seconds: float) -> datetime:
    """`seconds` after `AT`."""
    return AT + timedelta(seconds=seconds)


def uid(*cause: object) -> UUID:
    """A stable id for tests."""
    return derived_id("test", *cause)


def choice(name: str = "positive") -> Choice:
    return Choice(choice=name)


def item(item_id: str = "i1", *, text: str = "good coffee, slow service", **more: Any) -> ev.Item:
    fields = {"project_id": PROJECT, "item_id": item_id, "content": ev.TextContent(text=text), "created_at": AT}
    return ev.Item(**(fields | more))


def refresh(item_id: str = "i1", **more: Any) -> ev.Refresh:
    fields = {
        "project_id": PROJECT, "item_id": item_id, "content": ev.TextContent(text="good coffee, slow service"),
        "item_created_at": AT, "generation": 2, "requested_at": at(60),
    }  # fmt: skip
    return ev.Refresh(**(fields | more))


def distribution(confidence: float, value: str = "positive", classes: tuple[str, ...] = CLASSES) -> dict[str, float]:
    """`confidence` on `value`, the rest shared equally."""
    rest = (1.0 - confidence) / (len(classes) - 1)
    return {name: confidence if name == value else rest for name in classes}


def _proposal_fields(value: str, confidence: float) -> dict[str, Any]:
    mix = distribution(confidence, value)
    best, second = sorted(mix.values(), reverse=True)[:2]
    return {
        "value": choice(value), "distribution": mix, "confidence": confidence, "margin": best - second,
        "entropy": entropy(mix), "model_version": "m1", "generation": 1,
    }  # fmt: skip


def prediction(item_id: str = "i1", *, value: str = "positive", confidence: float = 0.7, **more: Any) -> ev.Prediction:
    fields = {"project_id": PROJECT, "item_id": item_id, "item_created_at": AT, "predicted_at": at(1)}
    return ev.Prediction(**(fields | _proposal_fields(value, confidence) | more))


def shadow_prediction(
    item_id: str = "i1", *, value: str = "neutral", confidence: float = 0.6, **more: Any
) -> ev.ShadowPrediction:
    fields = {"project_id": PROJECT, "item_id": item_id, "item_created_at": AT, "predicted_at": at(1)}
    return ev.ShadowPrediction(**(fields | _proposal_fields(value, confidence) | {"model_version": "m2"} | more))


def abstention(item_id: str = "i1", *, why: ev.Abstention = ev.Abstention.NO_MODEL, **more: Any) -> ev.Prediction:
    fields = {"project_id": PROJECT, "item_id": item_id, "abstention": why, "item_created_at": AT}
    return ev.Prediction(**(fields | {"predicted_at": at(1)} | more))


def route(item_id: str = "i1", *, state: ev.RouteState = ev.RouteState.QUEUED, **more: Any) -> ev.Route:
    fields = {
        "project_id": PROJECT, "item_id": item_id, "round": 1, "step": 1, "state": state, "reason": "low confidence",
        "audience": ev.Audience.ANNOTATOR, "opinions_wanted": 1, "model_version": "m1", "generation": 1,
        "project_version": 1, "item_created_at": AT, "routed_at": at(2),
    }  # fmt: skip
    return ev.Route(**(fields | more))


def proposal(value: str = "positive", *, confidence: float = 0.7, **more: Any) -> ev.Proposal:
    fields = {"value": choice(value), "confidence": confidence, "model_version": "m1", "generation": 1}
    return ev.Proposal(**(fields | {"distribution": distribution(confidence, value)} | more))


def _answer_fields(item_id: str, by: str | None) -> dict[str, Any]:
    return {
        "project_id": PROJECT, "item_id": item_id, "annotation_id": uid("annotation", item_id, by), "round": 1,
        "annotator_id": by, "duration_ms": 4_000, "policy": policy(), "project_version": 1, "item_created_at": AT,
        "submitted_at": at(30),
    }  # fmt: skip


def annotation(
    item_id: str = "i1", *, by: str = "ann", value: str | LabelValue = "positive", **more: Any
) -> ev.Annotation:
    """An answer."""
    answer = choice(value) if isinstance(value, str) else value
    return ev.Annotation(**(_answer_fields(item_id, by) | {"outcome": "answered", "value": answer} | more))


def skip(
    item_id: str = "i1", *, by: str = "ann", why: ev.SkipReason = ev.SkipReason.UNCLEAR, **more: Any
) -> ev.Annotation:
    return ev.Annotation(**(_answer_fields(item_id, by) | {"outcome": "skipped", "skip_reason": why} | more))


def exhausted(item_id: str = "i1", **more: Any) -> ev.Annotation:
    """Nobody is left who could answer the round."""
    return ev.Annotation(**(_answer_fields(item_id, None) | {"outcome": "exhausted", "duration_ms": 0} | more))


def escalation(item_id: str = "i1", *, ask: ev.Ask = ev.Ask.OPINION, **more: Any) -> ev.Escalation:
    fields = {
        "project_id": PROJECT, "item_id": item_id, "round": 1, "ask": ask, "opinions_wanted": 2,
        "reason": "posterior below target", "posterior": 0.8, "snapshot": 3, "escalated_at": at(40),
    }  # fmt: skip
    return ev.Escalation(**(fields | more))


def label(
    item_id: str = "i1", *, value: str | LabelValue = "positive", path: ev.Path = ev.Path.CONSENSUS, **more: Any
) -> ev.Label:
    answer = choice(value) if isinstance(value, str) else value
    fields = {
        "project_id": PROJECT, "item_id": item_id, "version": 1, "value": answer, "path": path, "posterior": 0.97,
        "opinions": 2, "cost": 0.16, "project_version": 1, "item_created_at": AT, "labelled_at": at(50),
    }  # fmt: skip
    return ev.Label(**(fields | more))


def auto_label(item_id: str = "i1", *, value: str = "positive", confidence: float = 0.99, **more: Any) -> ev.Label:
    """An auto-accepted label: no posterior, its evidence is the proposal."""
    evidence = ev.Evidence(proposal=proposal(value, confidence=confidence), reason="confidence above the threshold")
    fields: dict[str, Any] = {"posterior": None, "opinions": 0, "cost": 0.0002, "evidence": evidence}
    return label(item_id, value=value, path=ev.Path.AUTO, **(fields | more))


def relabel(item_id: str = "i1", *, cause: ev.RelabelCause = ev.RelabelCause.DISAGREEMENT, **more: Any) -> ev.Relabel:
    fields = {
        "project_id": PROJECT, "item_id": item_id, "round": 1, "cause": cause, "evidence": "model said negative at 0.4",
        "requested_by": "monitor", "requested_at": at(100),
    }  # fmt: skip
    return ev.Relabel(**(fields | more))


def quality(measurement: ev.Measurement | None = None, **more: Any) -> ev.Quality:
    """A skill measurement unless another is given."""
    skill = ev.Skill(annotator_id="ann", accuracy=0.9, low=0.7, high=0.97, judged=20, correct=18)
    fields = {
        "project_id": PROJECT, "subject": "annotator#ann", "sequence": "20", "measurement": measurement or skill,
        "snapshot": 3, "measured_at": at(60),
    }  # fmt: skip
    return ev.Quality(**(fields | more))


def drift_alarm(signal: str = "predicted_class", *, slice_: str = "", **more: Any) -> ev.DriftAlarm:
    """An open alarm: positive became rarer."""
    subject = ev.AlarmSubject(signal=signal, slice=slice_)
    effect = ev.AlarmEffect(
        tvd=0.1, low=0.07, high=0.13, change=12_000, change_low=11_900, change_high=12_050, changed_at=at(500),
        classes=(ev.ClassShift(symbol="positive", before=0.5, after=0.4, delta=-0.1, low=-0.13, high=-0.07),),
    )  # fmt: skip
    fields = {
        "alarm_id": ev.alarm_id(PROJECT, subject, "shiryaev-roberts", uid("reference", signal), 12_000),
        "state": "open", "subject": subject, "effect": effect, "opened_at": at(900),
        "detector": ev.AlarmDetector(name="shiryaev-roberts", version="1", params={"tolerance": 0.0}),
        "reference": ev.AlarmReference(id=uid("reference", signal), model_version="m1", n=10_000),
        "current": ev.AlarmWindow(first=12_000, last=12_500, n=501, distribution={"positive": 0.4, "negative": 0.6}),
        "evidence": ev.AlarmEvidence(log_e=14.0, budget=1_000_000, expected_false_alarms=0.1),
    }  # fmt: skip
    return ev.DriftAlarm(**(fields | more))


def policy(**more: Any) -> ev.Policy:
    return ev.Policy(**({"auto_accept": ev.AutoAccept(threshold=0.95)} | more))


def project_spec(project: str = PROJECT, **more: Any) -> ev.ProjectSpec:
    fields = {"project": project, "data": "text", "label": ChoiceSchema(classes=CLASSES), "policy": policy()}
    return ev.ProjectSpec(**(fields | more))


def project_version(version: int = 1, *, spec: ev.ProjectSpec | None = None, **more: Any) -> ev.ProjectVersion:
    spec = spec or project_spec()
    fields = {"project_id": spec.project, "version": version, "spec": spec, "applied_at": AT}
    return ev.ProjectVersion(**(fields | more))


def project_pointer(version: int = 1, **more: Any) -> ev.ProjectPointer:
    return ev.ProjectPointer(**({"project_id": PROJECT, "version": version, "applied_at": AT} | more))


def guideline_version(version: int = 1, **more: Any) -> ev.GuidelineVersion:
    fields = {"project_id": PROJECT, "version": version, "markdown": "# Sentiment\n", "published_at": AT}
    return ev.GuidelineVersion(**(fields | {"touched_classes": ("neutral",)} | more))


def guideline_pointer(version: int = 1, **more: Any) -> ev.GuidelinePointer:
    return ev.GuidelinePointer(**({"project_id": PROJECT, "version": version, "published_at": AT} | more))


def manifest(**more: Any) -> ev.Manifest:
    return ev.Manifest(**({"input": ev.TextInput(), "classes": CLASSES} | more))


def model_version(version: str = "m1", **more: Any) -> ev.ModelVersion:
    fields = {
        "project_id": PROJECT, "version": version, "uri": f"file:///models/{version}.onnx", "sha256": SHA256,
        "size_bytes": 1_000, "manifest": manifest(), "metrics": {"accuracy": 0.9}, "registered_at": AT,
    }  # fmt: skip
    return ev.ModelVersion(**(fields | more))


def model_pointer(version: str = "m1", *, generation: int = 1, **more: Any) -> ev.ModelPointer:
    fields = {"project_id": PROJECT, "version": version, "generation": generation, "promoted_at": AT}
    return ev.ModelPointer(**(fields | more))


def gold_item(item_id: str = "gold-1", *, text: str = "the best coffee of my life", **more: Any) -> ev.GoldItem:
    fields = {"project_id": PROJECT, "item_id": item_id, "content": ev.TextContent(text=text), "created_at": AT}
    return ev.GoldItem(**(fields | more))


def gold_answer(item_id: str = "gold-1", *, value: str = "positive", **more: Any) -> ev.GoldAnswer:
    fields = {"project_id": PROJECT, "item_id": item_id, "value": choice(value), "created_at": AT}
    return ev.GoldAnswer(**(fields | more))


def erasure(item_id: str = "i1", **more: Any) -> ev.Erasure:
    """Forget an item."""
    fields = {"subject": "item", "project_id": PROJECT, "item_id": item_id, "requested_at": at(200)}
    return ev.Erasure(**(fields | more))


def one_of_each() -> tuple[ev.Event, ...]:
    """A valid event of every class that a topic carries."""
    return (
        item(), prediction(), shadow_prediction(), route(), annotation(), escalation(), label(), relabel(), refresh(),
        quality(), model_version(), model_pointer(), project_version(), project_pointer(), guideline_version(),
        guideline_pointer(), gold_item(), gold_answer(), erasure(),
    )  # fmt: skip
