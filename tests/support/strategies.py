"""Hypothesis strategies: valid events of every class, label values of every kind, and text that breaks careless code.

Every strategy of an event takes the fields to fix: `items(item_id=st.sampled_from(["i1", "i2"]))`.
"""

from typing import Any, TypeVar

from hypothesis import strategies as st

from shared import events as ev
from shared import labels as lb
from shared.topics import Topic
from tests.support import events as make

E = TypeVar("E", bound=ev.Event)

# Everything but U+0000 and lone surrogates: astral characters, combining marks, right-to-left marks, separators.
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
text = st.text(characters, max_size=40)
names = st.text(characters, min_size=1, max_size=20)
slugs = st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,20}\Z")
item_ids = st.one_of(st.sampled_from(["i1", "i2", "i3", "i4"]), names)
classes = st.sampled_from(make.CLASSES)
probabilities = st.floats(0.0, 1.0)
shares = st.floats(0.0, 1.0, exclude_min=True)
counts = st.integers(0, 2**31 - 1)
rounds = st.integers(1, 3)
times = st.floats(0, 1e6).map(make.at)
finite = st.floats(-1e9, 1e9)
sizes = st.floats(1e-3, 1e4)
_corners = {"x": finite, "y": finite, "width": sizes, "height": sizes}


def _build(cls: type[E], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[E]:
    return st.builds(cls, **fields)


@st.composite
def distributions(draw: st.DrawFn) -> dict[str, float]:
    """Class probabilities that add up to 1."""
    weights = draw(st.lists(st.floats(0.01, 1.0), min_size=len(make.CLASSES), max_size=len(make.CLASSES)))
    return {name: weight / sum(weights) for name, weight in zip(make.CLASSES, weights, strict=True)}


def _ordered(low: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[float, float]]:
    return st.tuples(low, st.floats(0.1, 1e3)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@st.composite
def spans(draw: st.DrawFn) -> lb.Span:
    start = draw(st.integers(0, 1000))
    return lb.Span(start=start, end=start + draw(st.integers(1, 50)), label=draw(classes), id=draw(names))


@st.composite
def relations(draw: st.DrawFn) -> lb.Relations:
    found = draw(st.lists(spans(), min_size=1, max_size=3))
    ends = st.sampled_from([span.id for span in found])
    arcs = draw(st.lists(st.builds(lb.Relation, head=ends, tail=ends, label=names), max_size=3))
    return lb.Relations(spans=tuple(found), relations=tuple(arcs))


@st.composite
def masks(draw: st.DrawFn) -> lb.Masks:
    width, height = draw(st.integers(1, 50)), draw(st.integers(1, 50))
    zeros = draw(st.integers(0, width * height - 1))
    return lb.Masks(
        width=width, height=height, masks=(lb.Mask(counts=(zeros, width * height - zeros), label=draw(classes)),)
    )


@st.composite
def segments(draw: st.DrawFn) -> lb.Segment:
    start, end = draw(_ordered(st.floats(0, 1e5)))
    return lb.Segment(start=start, end=end, label=draw(classes))


@st.composite
def tracks(draw: st.DrawFn) -> lb.Track:
    frames = sorted(draw(st.sets(st.integers(0, 1000), min_size=1, max_size=4)))
    boxes = tuple(lb.Keyframe(frame=frame, **{k: draw(s) for k, s in _corners.items()}) for frame in frames)
    return lb.Track(id=draw(names), label=draw(classes), frames=boxes)


@st.composite
def polygons(draw: st.DrawFn) -> lb.Polygon:
    x, y, width, height = (draw(st.floats(0.5, 1e4)) for _ in range(4))
    return lb.Polygon(points=((x, y), (x + width, y), (x, y + height)), label=draw(classes))


choices = st.builds(lb.Choice, choice=classes)
part_values: st.SearchStrategy[lb.LabelValue] = st.one_of(
    choices,
    st.builds(lb.Choices, choices=st.lists(classes, max_size=3).map(tuple)),
    st.builds(lb.Rating, rating=finite),
    st.builds(lb.Spans, spans=st.lists(spans(), max_size=3).map(tuple)),
    relations(),
    st.builds(lb.Boxes, boxes=st.lists(st.builds(lb.Box, **_corners, label=classes), max_size=3).map(tuple)),
    st.builds(lb.Polygons, polygons=st.lists(polygons(), max_size=2).map(tuple)),
    masks(),
    st.builds(lb.Transcript, text=text),
    st.builds(lb.Segments, segments=st.lists(segments(), max_size=3).map(tuple)),
    st.builds(lb.Tracks, tracks=st.lists(tracks(), max_size=2, unique_by=lambda t: t.id).map(tuple)),
)
label_values: st.SearchStrategy[lb.LabelValue] = st.one_of(
    part_values,
    st.builds(lb.Mixed, parts=st.dictionaries(st.sampled_from(["mood", "shapes", "text-1"]), part_values, min_size=1)),
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e300, 1e300) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
contents: st.SearchStrategy[ev.Content] = st.one_of(
    st.builds(ev.TextContent, text=text),
    st.builds(ev.FeaturesContent, features=st.lists(finite, min_size=1, max_size=8).map(tuple)),
    st.builds(ev.MediaContent, kind=st.sampled_from(["image", "audio", "video"]), uri=st.just("s3://bucket/a.png")),
    st.builds(ev.MediaContent, kind=st.just("image"), data=st.just("AAAA")),
    st.builds(ev.JsonContent, fields=st.dictionaries(names, json_values, max_size=3)),
)
metadata = st.dictionaries(
    names, text | st.integers(-(2**53), 2**53) | finite | st.booleans() | st.none(), max_size=3
)  # fmt: skip
origins = st.builds(
    ev.Origin, source=slugs, topic=names, partition=st.integers(0, 100), offset=counts, sampling_rate=shares
)
_ITEM: dict[str, st.SearchStrategy[Any]] = {"project_id": st.just(make.PROJECT), "item_id": item_ids}


def items(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[ev.Item]:
    fields = _ITEM | {
        "content": contents, "metadata": metadata, "origin": st.none() | origins, "created_at": times,
    }  # fmt: skip
    return _build(ev.Item, **(fields | fixed))


def proposals() -> st.SearchStrategy[ev.Proposal]:
    return st.builds(
        ev.Proposal, value=choices, confidence=probabilities, model_version=names, generation=st.integers(0, 5),
        distribution=st.none() | distributions(),
    )  # fmt: skip


@st.composite
def predictions(draw: st.DrawFn, /, **fixed: st.SearchStrategy[Any]) -> ev.Prediction:
    """Proposals and abstentions."""
    fields = _ITEM | {"item_created_at": times, "predicted_at": times}
    if draw(st.booleans()):
        fields |= {"abstention": st.sampled_from(ev.Abstention)}
    else:
        fields |= {
            "value": choices, "distribution": distributions(), "confidence": probabilities, "margin": probabilities,
            "entropy": st.floats(0, 5), "model_version": names, "generation": st.integers(1, 5),
        }  # fmt: skip
    return draw(_build(ev.Prediction, **(fields | fixed)))


@st.composite
def annotations(draw: st.DrawFn, /, **fixed: st.SearchStrategy[Any]) -> ev.Annotation:
    """Answers, skips and exhausted rounds."""
    outcome = draw(fixed.pop("outcome", st.sampled_from(ev.Outcome)))
    fields = _ITEM | {
        "annotation_id": st.uuids(), "round": rounds, "role": st.sampled_from(ev.Audience), "comment": text,
        "gold": st.booleans(), "late": st.booleans(), "duration_ms": counts, "saw_proposal": st.booleans(),
        "proposal": st.none() | proposals(), "policy": st.just(make.policy()), "project_version": st.integers(1, 5),
        "would_auto": st.booleans(), "inclusion_probability": shares, "item_created_at": times, "submitted_at": times,
        "annotator_id": st.none() if outcome is ev.Outcome.EXHAUSTED else st.sampled_from(["ann", "bob", "cy", "dee"]),
        "value": label_values if outcome is ev.Outcome.ANSWERED else st.none(),
        "skip_reason": st.sampled_from(ev.SkipReason) if outcome is ev.Outcome.SKIPPED else st.none(),
    }  # fmt: skip
    return draw(_build(ev.Annotation, outcome=st.just(outcome), **(fields | fixed)))


def routes(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[ev.Route]:
    fields = _ITEM | {
        "round": rounds, "step": st.integers(0, 20), "state": st.sampled_from(ev.RouteState), "reason": text,
        "audience": st.none() | st.sampled_from(ev.Audience), "opinions_wanted": st.integers(0, 9),
        "would_auto": st.booleans(), "inclusion_probability": shares, "priority": finite,
        "project_version": st.integers(1, 5), "item_created_at": times, "routed_at": times,
    }  # fmt: skip
    return _build(ev.Route, **(fields | fixed))


def escalations(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[ev.Escalation]:
    fields = _ITEM | {
        "round": rounds, "ask": st.sampled_from(ev.Ask), "opinions_wanted": st.integers(0, 9), "reason": text,
        "posterior": st.none() | probabilities, "snapshot": counts, "escalated_at": times,
    }  # fmt: skip
    return _build(ev.Escalation, **(fields | fixed))


def votes() -> st.SearchStrategy[ev.Vote]:
    return st.builds(
        ev.Vote, annotation_id=st.uuids(), annotator_id=names, value=label_values, role=st.sampled_from(ev.Audience)
    )


def evidences() -> st.SearchStrategy[ev.Evidence]:
    return st.builds(
        ev.Evidence, votes=st.lists(votes(), max_size=3).map(tuple), proposal=st.none() | proposals(), snapshot=counts,
        agreement=st.none() | probabilities, reason=text, certificate=st.none() | st.uuids(),
    )  # fmt: skip


def labels(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[ev.Label]:
    fields = _ITEM | {
        "version": rounds, "value": label_values, "path": st.sampled_from(ev.Path), "evidence": evidences(),
        "posterior": st.none() | probabilities, "distribution": st.none() | distributions(),
        "opinions": st.integers(0, 9), "cost": st.floats(0, 1e6), "project_version": st.integers(1, 5),
        "item_created_at": times, "labelled_at": times,
    }  # fmt: skip
    return _build(ev.Label, **(fields | fixed))


def relabels(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[ev.Relabel]:
    fields = _ITEM | {
        "round": rounds, "cause": st.sampled_from(ev.RelabelCause), "evidence": text, "urgency": probabilities,
        "excluded_annotators": st.lists(names, max_size=3).map(tuple),
        "requested_by": st.sampled_from(["monitor", "qc", "operator"]), "requested_at": times,
    }  # fmt: skip
    return _build(ev.Relabel, **(fields | fixed))


def shadow_predictions(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[ev.ShadowPrediction]:
    return predictions(**fixed).map(lambda event: ev.ShadowPrediction(**dict(event)))


def refreshes(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[ev.Refresh]:
    fields = _ITEM | {
        "content": contents, "item_created_at": times, "generation": st.integers(0, 5), "requested_at": times,
    }  # fmt: skip
    return _build(ev.Refresh, **(fields | fixed))


_MEASUREMENTS = st.one_of(
    st.builds(
        ev.Skill, annotator_id=names, accuracy=probabilities, low=probabilities, high=probabilities, judged=counts,
        correct=counts,
    ),
    st.builds(
        ev.GoldResult, annotator_id=names, annotation_id=st.uuids(), gold_item_id=item_ids, correct=st.booleans(),
        expected=classes, answered=classes,
    ),
    st.builds(ev.Agreement, percent=probabilities, rounds=counts, opinions=counts, alpha=probabilities),
    st.builds(ev.PairAgreement, considered=counts),
    st.builds(
        ev.Calibration,
        against=st.sampled_from(["gold", "expert"]),
        error=probabilities,
        labels=counts,
        accuracy=probabilities,
    ),
    st.builds(ev.Quarantine, annotator_id=names, active=st.booleans(), reason=text),
    st.builds(
        ev.Anchoring, shown=counts, shown_agree=counts, hidden=counts, hidden_agree=counts,
        difference=st.floats(-1, 1), low=st.floats(-1, 1), high=st.floats(-1, 1), window_s=st.floats(0, 1e6),
    ),
    st.builds(ev.Disagreement, model_version=names, rate=probabilities, labels=counts, window_s=st.floats(0, 1e6)),
    st.builds(
        ev.ClassMix, of=st.sampled_from(["predictions", "labels"]), counts=st.dictionaries(classes, counts),
        window_s=st.floats(0, 1e6),
    ),
    st.builds(
        make.drift_alarm, slice_=names, severity=st.sampled_from(["info", "warning", "critical"]), number=counts,
        suspects=st.tuples(st.builds(ev.Suspect, score=probabilities, dimension=st.just("source"), value=names)),
        exemplars=st.lists(item_ids, max_size=3),
    ),
)  # fmt: skip


def qualities(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[ev.Quality]:
    fields = {
        "project_id": st.just(make.PROJECT), "subject": names, "sequence": names, "measurement": _MEASUREMENTS,
        "snapshot": counts, "measured_at": times,
    }  # fmt: skip
    return _build(ev.Quality, **(fields | fixed))


def gold_items(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[ev.GoldItem]:
    return _build(ev.GoldItem, **(_ITEM | {"content": contents, "retired": st.booleans(), "created_at": times} | fixed))


def gold_answers(**fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[ev.GoldAnswer]:
    return _build(ev.GoldAnswer, **(_ITEM | {"value": label_values, "explanation": text, "created_at": times} | fixed))


_BY_CLASS: dict[type[ev.Event], st.SearchStrategy[Any]] = {
    ev.Item: items(),
    ev.Prediction: predictions(),
    ev.ShadowPrediction: shadow_predictions(),
    ev.Route: routes(),
    ev.Annotation: annotations(),
    ev.Escalation: escalations(),
    ev.Label: labels(),
    ev.Relabel: relabels(),
    ev.Refresh: refreshes(),
    ev.Quality: qualities(),
    ev.GoldItem: gold_items(),
    ev.GoldAnswer: gold_answers(),
    ev.ModelVersion: st.just(make.model_version()),
    ev.ModelPointer: st.just(make.model_pointer()),
    ev.ProjectVersion: st.just(make.project_version()),
    ev.ProjectPointer: st.just(make.project_pointer()),
    ev.GuidelineVersion: st.just(make.guideline_version()),
    ev.GuidelinePointer: st.just(make.guideline_pointer()),
    ev.Erasure: st.just(make.erasure()),
}


def of_topic(topic: Topic[E]) -> st.SearchStrategy[E]:
    """A valid event of the topic."""
    return st.one_of([_BY_CLASS[cls] for cls in topic.events])


def any_event() -> st.SearchStrategy[ev.Event]:
    """A valid event of any topic."""
    return st.one_of(list(_BY_CLASS.values()))
