"""What a run is: its load, its people, its project. A short test and a long chaos run differ in these figures only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Self

from shared.events import (
    AutoAccept,
    FeaturesContent,
    GoldPolicy,
    Item,
    Manifest,
    Overlap,
    Policy,
    ProjectSpec,
    RelabelPolicy,
)
from shared.labels import ChoiceSchema
from tests.support.onnx_models import table_manifest, table_model
from tests.support.poison import TEN

PROJECT = "e2e"
CLASSES = ("a", "b", "c")
SURE, UNSURE = 0.97, 0.60
SURE_ROWS, RIGHT_ROWS, ROWS = 6, 9, 12
UNREADABLE_ROW = ROWS
"""Outside the model's table: ONNX Runtime fails on it, so prelabel abstains."""
FRACTIONS = 200_000
SIGNATURE = 0.001
"""Each model is this much less sure than the one before, so that a distribution tells which model made it."""
START = datetime(2025, 1, 1, tzinfo=UTC)
SESSION_MS = 3000
MANY = 1_000_000


@dataclass(frozen=True, slots=True)
class Person:
    """A simulated annotator: the chances of what they do with a task; with the rest they answer it once, in time."""

    name: str
    expert: bool = False
    accuracy: float = 0.95
    twice: float = 0.15
    late: float = 0.02
    vanish: float = 0.02
    skip: float = 0.02
    renew: float = 0.05
    forge: float = 0.05


PEOPLE = (
    Person("ada"), Person("ben"), Person("chi", accuracy=0.9), Person("dee", accuracy=0.9), Person("eli", accuracy=0.8),
    Person("fay", late=0.1, vanish=0.1), Person("ivy", expert=True, accuracy=1.0),
    Person("joe", expert=True, accuracy=1.0),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The figures of a run.

    Attributes:
        seed: of everything drawn: items, people's answers, faults.
        items_per_second: new items; repeats and poison come on top.
        repeats: chance of a new item to come again, later and out of order.
        odd: chance of a new item to look strange and be good.
        poison_every_s: seconds between two bad records; each kind comes once before any comes twice.
        poison: the kinds of tests/support/poison.py that are sent.
        echo_every_s: seconds between two old records of the services' own topics that come again.
        people: who answers.
        partitions: of each topic.
        policy: of the project.
        settings: environment of the services, beside what a run needs.
        rest_within_s: seconds from the end of the load to rest.
    """

    seed: int = 1
    items_per_second: float = 25.0
    repeats: float = 0.1
    odd: float = 0.1
    poison_every_s: float = 0.5
    poison: Sequence[str] = TEN
    echo_every_s: float = 0.25
    people: Sequence[Person] = PEOPLE
    partitions: int = 3
    policy: Policy = field(
        default_factory=lambda: Policy(
            auto_accept=AutoAccept(threshold=0.9, audit_share=0.1),
            overlap=Overlap(min=1, max=3),
            target_posterior=0.9,
            experts=True,
            blind_share=0.2,
            lease_s=2.0,
            blocked_after_s=3.0,
            unresolved_after_s=3.0,
            prediction_timeout_s=8.0,
            gold=GoldPolicy(share=0.1),
            relabel=RelabelPolicy(budget_per_day=10, doubts_per_day=0),
        )
    )
    settings: Mapping[str, str] = field(default_factory=dict)
    rest_within_s: float = 60.0

    @property
    def spec(self) -> ProjectSpec:
        """The project."""
        return ProjectSpec(
            project=PROJECT, data="features", label=ChoiceSchema(classes=CLASSES), policy=self.policy, title="e2e"
        )

    def with_doubts(self) -> Self:
        """The same where labels that later snapshots doubt are asked for again; it takes longer to come to rest."""
        relabel = self.policy.relabel.model_copy(update={"doubts_per_day": MANY})
        settings = {**self.settings, "LABELSTREAM_QC_SNAPSHOT_INTERVAL_S": "2"}
        return replace(self, policy=self.policy.model_copy(update={"relabel": relabel}), settings=settings)

    def environment(self, token: str) -> dict[str, str]:
        """Settings of the services: short sessions, quick jobs."""
        return {
            "LABELSTREAM_ASSIGNMENT_ADMIN_TOKEN": token,
            "LABELSTREAM_KAFKA_SESSION_TIMEOUT_MS": str(SESSION_MS),
            "LABELSTREAM_KAFKA_HEARTBEAT_INTERVAL_MS": "500",
            "LABELSTREAM_ASSIGNMENT_SWEEP_INTERVAL_S": "0.3",
            "LABELSTREAM_PRELABEL_MODEL_POLL_S": "0.3",
            "LABELSTREAM_PRELABEL_REFRESH_WAIT_S": "5",
            "LABELSTREAM_QC_QUALITY_INTERVAL_S": "3",
            "LABELSTREAM_QC_GOLD_INTERVAL_S": "2",
            "LABELSTREAM_MONITOR_QUALITY_INTERVAL_S": "5",
            **self.settings,
        }


def item_of(number: int, row: int) -> Item:
    """The `number`-th item: its one feature says in which row of the model's table it is, and its own number."""
    feature = row + (number + 1) / FRACTIONS
    return Item(
        project_id=PROJECT, item_id=f"i{number:06d}", content=FeaturesContent(features=(feature,)), created_at=START
    )


def truth_of(feature: float) -> str:
    """What a person sees in an item."""
    return CLASSES[int(feature) % len(CLASSES)]


def distribution_of(model: int, feature: float) -> dict[str, float]:
    """What the `model`-th model says of a feature: sure and right, unsure and right, or unsure and wrong."""
    row = int(feature)
    best = (SURE if row < SURE_ROWS else UNSURE) - SIGNATURE * model
    chosen = row % len(CLASSES) if row < RIGHT_ROWS else (row + 1) % len(CLASSES)
    rest = (1.0 - best) / (len(CLASSES) - 1)
    return {name: best if place == chosen else rest for place, name in enumerate(CLASSES)}


def model_of(model: int) -> tuple[bytes, Manifest]:
    """The `model`-th model file and its manifest."""
    table = [list(distribution_of(model, row).values()) for row in range(ROWS)]
    return table_model(table), table_manifest(CLASSES, max_batch=64)
