"""Where every message goes: one table. The flow diagram is generated from it, the AsyncAPI documents are checked by it.

A topic's physical name is the deployment's prefix and `name`. Its dead letters go to `<name>.dlq`.
"""

import functools
import operator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from shared import events as ev

E = TypeVar("E", bound=ev.Event)

PRELABEL, ASSIGNMENT, QC, MONITOR, TRAINER = "prelabel", "assignment", "qc", "monitor", "trainer"
OPERATOR, PRODUCERS, CONSUMERS = "operator", "your producers", "your consumers"
SERVICES = (PRELABEL, ASSIGNMENT, QC, MONITOR)
PROCESSES = (*SERVICES, TRAINER)
PACKAGES = {name: f"services.{name}" for name in SERVICES} | {TRAINER: "services.prelabel.training"}
"""Where the code of each process is; `python -m` of it runs it."""

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS


@dataclass(frozen=True, slots=True, eq=False)
class Topic(Generic[E]):
    """One row of the table.

    Attributes:
        name: without the deployment's prefix; ends in its major version.
        event: validates one body.
        events: the classes that the topic carries.
        writers, readers: services and people.
        dlq_owner: the one service that judges this topic's records and writes its dead letters.
        compacted: a reference topic: read from the start by every replica, without a group.
        retention_ms: how long records live where the topic is not compacted.
    """

    name: str
    event: TypeAdapter[E]
    events: tuple[type[E], ...]
    key: str
    about: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    dlq_owner: str | None = None
    compacted: bool = False
    retention_ms: int = WEEK_MS
    unkeyed: bool = False

    @property
    def dlq(self) -> str:
        return f"{self.name}.dlq"


def _topic(
    name: str,
    *events: type[Any],
    key: str,
    about: str,
    writers: tuple[str, ...],
    readers: tuple[str, ...],
    dlq_owner: str | None = None,
    compacted: bool = False,
    retention_ms: int = WEEK_MS,
    unkeyed: bool = False,
) -> Topic[Any]:
    adapter = TypeAdapter[Any](functools.reduce(operator.or_, events))
    return Topic(name, adapter, events, key, about, writers, readers, dlq_owner, compacted, retention_ms, unkeyed)


_ITEM = "project/item"

ITEMS: Topic[ev.Item] = _topic(
    "items.v1", ev.Item, key=_ITEM, about="one thing to label",
    writers=(PRODUCERS, PRELABEL), readers=(PRELABEL, ASSIGNMENT, TRAINER, MONITOR), dlq_owner=ASSIGNMENT, unkeyed=True,
)  # fmt: skip
PREDICTIONS: Topic[ev.Prediction] = _topic(
    "predictions.v1", ev.Prediction, key=_ITEM, about="the proposed label with its distribution, or an abstention",
    writers=(PRELABEL,), readers=(ASSIGNMENT, MONITOR), dlq_owner=ASSIGNMENT,
)  # fmt: skip
SHADOW_PREDICTIONS: Topic[ev.ShadowPrediction] = _topic(
    "shadow_predictions.v1", ev.ShadowPrediction, key=_ITEM, about="predictions of a model on trial",
    writers=(PRELABEL,), readers=(MONITOR, TRAINER), dlq_owner=MONITOR,
)  # fmt: skip
ROUTES: Topic[ev.Route] = _topic(
    "routes.v1", ev.Route, key=_ITEM, about="a change of an item's state that no other topic shows",
    writers=(ASSIGNMENT,), readers=(MONITOR, TRAINER), dlq_owner=MONITOR,
)  # fmt: skip
ANNOTATIONS: Topic[ev.Annotation] = _topic(
    "annotations.v1", ev.Annotation, key=_ITEM, about="what one person answered, or why they skipped",
    writers=(ASSIGNMENT,), readers=(QC, MONITOR), dlq_owner=QC, retention_ms=30 * DAY_MS,
)  # fmt: skip
ESCALATIONS: Topic[ev.Escalation] = _topic(
    "escalations.v1", ev.Escalation, key=_ITEM, about="the open round needs another opinion, an expert, or an end",
    writers=(QC,), readers=(ASSIGNMENT,), dlq_owner=ASSIGNMENT,
)  # fmt: skip
LABELS: Topic[ev.Label] = _topic(
    "labels.v1", ev.Label, key=_ITEM, about="the accepted label of an item",
    writers=(QC, ASSIGNMENT), readers=(CONSUMERS, ASSIGNMENT, QC, TRAINER, MONITOR), dlq_owner=MONITOR,
    retention_ms=30 * DAY_MS,
)  # fmt: skip
RELABELS: Topic[ev.Relabel] = _topic(
    "relabels.v1", ev.Relabel, key=_ITEM, about="a request to open a new round on a labelled item",
    writers=(MONITOR, QC), readers=(ASSIGNMENT,), dlq_owner=ASSIGNMENT,
)  # fmt: skip
REFRESHES: Topic[ev.Refresh] = _topic(
    "refreshes.v1", ev.Refresh, key=_ITEM, about="an open item whose prediction is stale",
    writers=(ASSIGNMENT,), readers=(PRELABEL,), dlq_owner=PRELABEL, retention_ms=DAY_MS,
)  # fmt: skip
QUALITY: Topic[ev.Quality] = _topic(
    "quality.v1", ev.Quality, key="project/subject", about="measured quality of people, labels and models",
    writers=(QC, ASSIGNMENT, MONITOR), readers=(ASSIGNMENT, QC, TRAINER, MONITOR, CONSUMERS), dlq_owner=MONITOR,
    retention_ms=30 * DAY_MS,
)  # fmt: skip
MODELS: Topic[ev.ModelVersion | ev.ModelPointer] = _topic(
    "models.v1", ev.ModelVersion, ev.ModelPointer, key="project/version; project#live", compacted=True,
    about="a model version; and which one is live",
    writers=(TRAINER, OPERATOR), readers=(PRELABEL, ASSIGNMENT, MONITOR, TRAINER),
)  # fmt: skip
PROJECTS: Topic[ev.ProjectVersion | ev.ProjectPointer] = _topic(
    "projects.v1", ev.ProjectVersion, ev.ProjectPointer, key="project/version; project#current", compacted=True,
    about="a project version; and which one is current", writers=(OPERATOR,),
    readers=(*SERVICES, TRAINER),
)  # fmt: skip
GUIDELINES: Topic[ev.GuidelineVersion | ev.GuidelinePointer] = _topic(
    "guidelines.v1", ev.GuidelineVersion, ev.GuidelinePointer, key="project/version; project#current", compacted=True,
    about="a guideline version; and which one is current", writers=(OPERATOR,), readers=(ASSIGNMENT, QC, MONITOR),
)  # fmt: skip
GOLD_ITEMS: Topic[ev.GoldItem] = _topic(
    "gold_items.v1", ev.GoldItem, key=_ITEM, compacted=True, about="an item whose answer is known, without it",
    writers=(OPERATOR, ASSIGNMENT), readers=(ASSIGNMENT,),
)  # fmt: skip
GOLD_ANSWERS: Topic[ev.GoldAnswer] = _topic(
    "gold_answers.v1", ev.GoldAnswer, key=_ITEM, compacted=True, about="the answer of a gold item",
    writers=(OPERATOR, QC), readers=(QC,),
)  # fmt: skip
ERASURES: Topic[ev.Erasure] = _topic(
    "erasures.v1", ev.Erasure, key="subject", compacted=True, about="forget an item or a person",
    writers=(OPERATOR,), readers=(*SERVICES, TRAINER),
)  # fmt: skip

TOPICS: tuple[Topic[Any], ...] = (
    ITEMS, PREDICTIONS, SHADOW_PREDICTIONS, ROUTES, ANNOTATIONS, ESCALATIONS, LABELS, RELABELS, REFRESHES, QUALITY,
    MODELS, PROJECTS, GUIDELINES, GOLD_ITEMS, GOLD_ANSWERS, ERASURES,
)  # fmt: skip
BY_NAME = {topic.name: topic for topic in TOPICS}
REBUILDS: frozenset[tuple[str, str]] = frozenset(
    {
        *((ASSIGNMENT, topic.name) for topic in (ROUTES, LABELS, ANNOTATIONS)),
        *((QC, topic.name) for topic in (LABELS, ESCALATIONS, RELABELS, QUALITY)),
        *((MONITOR, topic.name) for topic in (RELABELS, QUALITY)),
    }
)
"""(service, topic) of the output that a service reads back before it decides anything; a test compares it with them."""
PLANNED: frozenset[tuple[str, str, str]] = frozenset()
"""(party, verb, topic) of the table that no code does yet. An entry goes when a service declares it, says a test."""
