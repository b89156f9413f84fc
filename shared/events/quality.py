"""`quality.v1`: everything measured about people, labels and models."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from shared.events.alarms import DriftAlarm, Signed
from shared.events.base import (
    BigCount,
    Category,
    Count,
    Event,
    ItemId,
    Name,
    NonNegative,
    Probability,
    Round,
    ShortText,
    Slug,
    Timestamp,
    derived_id,
)
from shared.events.certificates import Certificate
from shared.events.people import SkillDrift, Worth
from shared.events.rules import Action, Collected
from shared.labels.text import NoNul
from shared.labels.values import Value


class ConfusionCell(Value):
    """How often an answer was given where something was true; on a scale without classes: `=` or `!`, truth empty."""

    truth: Category
    answered: Category
    answers: Count


class Speed(Value):
    """Seconds per answer, robustly: their median, and the median absolute deviation of their natural logarithm."""

    median_s: NonNegative
    spread: NonNegative
    answers: Count


Interval = tuple[float, float]
Intervals = Annotated[dict[Name, Interval], Field(max_length=20)]


class PartSkill(Value):
    """What an annotator is like beside fused labels of objects, words, pixels or numbers; null: nothing to tell by."""

    part: Name | None = Field(default=None, description="Of a label that is a mix of kinds, the one that is meant.")
    answers: Count = Field(
        description="Judged ones; of transcripts 0, whose words are counted; of numbers those that others met."
    )
    detection: Probability | None = Field(default=None, description="Share of the labels' objects that they gave.")
    false: NonNegative | None = Field(default=None, description="Objects per answer that the labels have not.")
    right_class: Probability | None = Field(default=None, description="Of objects that others gave too; of a choice.")
    extent: Probability | None = Field(default=None, description="Mean similarity of these to the labels' extents.")
    words: Probability | None = Field(default=None, description="Word error rate.")
    pixels: Probability | None = Field(default=None, description="Share of disputed pixels that they had right.")
    spread: NonNegative | None = Field(default=None, description="Root mean square of 1 - similarity of extents.")
    offset: float | None = Field(default=None, description="By how much their numbers lie above the items' own.")
    deviation: NonNegative | None = Field(default=None, description="Standard deviation of their numbers about that.")
    intervals: Intervals = Field(default_factory=dict, description="95 %, by figure; from counts by answer.")


class Corrections(Value):
    """What somebody did to proposals that they saw; the distance is the kind's, from 0 to 1."""

    accepted: Count
    edited: Count
    replaced: Count
    distance: Probability = Field(description="Mean distance of their answers to the proposals.")


class Skill(Value):
    """An annotator's accuracy in a project: correct of judged, with a 95 % credible interval."""

    kind: Literal["skill"] = "skill"
    annotator_id: Name
    accuracy: Probability
    low: Probability
    high: Probability
    judged: Count
    correct: Count
    recent: Probability | None = Field(
        default=None, description="Accuracy over the last judged answers; each 50 answers halve the weight."
    )
    confusion: Annotated[tuple[ConfusionCell, ...], Field(max_length=1000)] = Field(
        default=(), description="The most used cells, by truth and answer."
    )
    speed: Speed | None = None
    drifts: Count = Field(default=0, description="How often the accuracy was found to have fallen.")
    parts: Annotated[tuple[PartSkill, ...], Field(max_length=100)] = Field(
        default=(), description="Of labels that are fused."
    )
    corrections: Corrections | None = None


class RuleFired(Value):
    """A rule of the project file found its condition in how somebody works; assignment and qc obey."""

    kind: Literal["rule"] = "rule"
    annotator_id: Name
    rule: Slug
    number: Count = Field(description="Counts how often this rule fired for this person.")
    collected: Collected
    value: float
    limit: float
    observations: Count
    action: Action
    until: Timestamp | None = Field(default=None, description="When the action ends; null: it has no end, or no time.")
    opinions: Count = Field(default=0, description="more_overlap: how many more.")
    share: Probability | None = Field(default=None, description="more_gold: share of leases.")


class GoldPlan(Value):
    """Which gold items somebody gets next, in this order, and how many; made by qc, which knows the answers."""

    kind: Literal["gold_plan"] = "gold_plan"
    annotator_id: Name | None = Field(default=None, description="Null: whoever has no plan of their own.")
    items: Annotated[tuple[ItemId, ...], Field(max_length=200)]
    share: Probability = Field(description="Share of the person's leases that are gold items.")


class ConfusedPair(Value):
    """What is answered where something else is true: share of the judged answers there, with a 95 % interval."""

    truth: Category
    answered: Category
    answers: Count
    share: Probability
    low: Probability
    high: Probability
    examples: Annotated[tuple[ItemId, ...], Field(max_length=20)] = ()


class ConfusingItem(Value):
    """An item that people got wrong; `wrong`: answer -> how many gave it."""

    item_id: ItemId
    gold: bool
    truth: Category
    answers: Count
    wrong: dict[Category, Count]


class ErrorPatterns(Value):
    """Confused classes by the answers they cost, and items by how surely people go wrong over them."""

    kind: Literal["error_patterns"] = "error_patterns"
    pairs: Annotated[tuple[ConfusedPair, ...], Field(max_length=100)] = ()
    items: Annotated[tuple[ConfusingItem, ...], Field(max_length=100)] = ()


class GoldMark(Value):
    """An expert or a lead makes an expert's decision gold; qc publishes its answer."""

    kind: Literal["gold_mark"] = "gold_mark"
    item_id: ItemId
    version: Round = Field(description="Of the label that is meant.")


class GoldResult(Value):
    kind: Literal["gold_result"] = "gold_result"
    annotator_id: Name
    annotation_id: UUID
    gold_item_id: ItemId
    correct: bool
    expected: Category
    answered: Category
    guideline_version: Count = Field(default=0, description="That the person answered under.")
    parts: dict[Name, bool] = Field(default_factory=dict, description="Of a mix of kinds, which parts are right.")


Coefficient = Annotated[float, Field(le=1.0, allow_inf_nan=False)]
"""1: perfect; 0: as by chance."""


class Agreement(Value):
    """Agreement over a project's recent rounds with two opinions or more; null where it is undefined.

    Where one class rules, alpha falls though people agree, and AC1 does not: look at both.
    """

    kind: Literal["agreement"] = "agreement"
    percent: Probability
    rounds: Count
    opinions: Count
    scope: Literal["project", "class", "guideline", "slice", "part"] = "project"
    name: ShortText = Field(default="", description="The class (it against the rest), guideline version, slice, part.")
    alpha: Coefficient | None = Field(default=None, description="Krippendorff's, by the scale's own metric.")
    metric: Literal["nominal", "ordinal", "interval", "distance"] = Field(
        default="nominal", description="distance: the kind's, of objects, words or pixels; percent is within tolerance."
    )
    ac1: Coefficient | None = None
    ac2: Coefficient | None = Field(default=None, description="On an ordered scale; quadratic weights.")
    fleiss: Coefficient | None = None
    kappa: Coefficient | None = Field(default=None, description="Cohen's, the mean over pairs of annotators.")
    intervals: Intervals = Field(default_factory=dict, description="95 %, by the bootstrap over rounds; by measure.")
    measures: Annotated[dict[Name, float], Field(max_length=20)] = Field(
        default_factory=dict, description="Of two people's labels by the kind's own measures, and its unitizing alpha."
    )


class AnnotatorPair(Value):
    """How two people agree on what both answered."""

    first: Name
    second: Name
    items: Count
    percent: Probability
    alpha: Coefficient | None = None
    ac1: Coefficient | None = None
    kappa: Coefficient | None = None
    intervals: Intervals = Field(default_factory=dict)


class PairAgreement(Value):
    """The pairs of a project's busiest annotators with enough in common, the least agreeing first."""

    kind: Literal["pair_agreement"] = "pair_agreement"
    pairs: Annotated[tuple[AnnotatorPair, ...], Field(max_length=200)] = ()
    considered: Count = Field(default=0, description="Pairs with enough in common, those left out here among them.")


class ReliabilityBin(Value):
    """Labels of about the same posterior."""

    labels: Count
    posterior: Probability
    accuracy: Probability


class Calibration(Value):
    """Posteriors of consensus labels beside what is known to be true."""

    kind: Literal["calibration"] = "calibration"
    against: Literal["gold", "expert"]
    error: NonNegative = Field(description="Debiased root mean squared gap between posterior and accuracy.")
    labels: Count
    accuracy: Probability
    bins: Annotated[tuple[ReliabilityBin, ...], Field(max_length=100)] = ()


class Quarantine(Value):
    kind: Literal["quarantine"] = "quarantine"
    annotator_id: Name
    active: bool
    reason: ShortText


class Disagreement(Value):
    """People against the model over a window of labels."""

    kind: Literal["disagreement"] = "disagreement"
    model_version: Name
    rate: Probability
    labels: Count
    window_s: NonNegative


class Anchoring(Value):
    """How much more people agree with the model's proposal where they see it than where chance hid it from them.

    Over the answers of a rolling window, without audits, experts and gold.
    """

    kind: Literal["anchoring"] = "anchoring"
    shown: Count
    shown_agree: Count
    hidden: Count
    hidden_agree: Count
    difference: Signed = Field(description="Of the shares that agree; above 0: people lean on what they see.")
    low: Signed = Field(description="Of a 95 % interval of the difference.")
    high: Signed
    window_s: NonNegative


class Accuracy(Value):
    """How often a model, or the live labels of a path, are right over a rolling window, with a 95 % interval."""

    kind: Literal["accuracy"] = "accuracy"
    of: Literal["model", "path"]
    name: ShortText = Field(description="The model version, or the path.")
    basis: Literal["audit", "sample", "gold"] = Field(
        description="audit: blind audits alone; sample: all of people's labels by inclusion probability; gold: answers"
        " to gold items, of people who answer alone."
    )
    accuracy: Probability
    low: Probability
    high: Probability
    labels: Count = Field(description="Labels, or gold answers, that it stands on.")
    estimate: Probability | None = Field(
        default=None,
        description="Without labels: the mean confidence. Blind to what people would say; beside the accuracy only.",
    )
    window_s: NonNegative


class ModelCalibration(Value):
    """A model's confidence beside how often people agree, over a rolling window."""

    kind: Literal["model_calibration"] = "model_calibration"
    model_version: Name
    error: NonNegative = Field(description="Debiased root mean squared gap between confidence and accuracy.")
    low: NonNegative = Field(description="Of a 95 % interval.")
    high: NonNegative
    labels: Count
    bins: Annotated[tuple[ReliabilityBin, ...], Field(max_length=100)] = Field(
        default=(), description="`posterior` is the mean confidence."
    )
    window_s: NonNegative


class ClassMix(Value):
    """Counts per class over a window."""

    kind: Literal["class_mix"] = "class_mix"
    of: Literal["predictions", "labels"]
    counts: dict[Category, BigCount]
    window_s: NonNegative


Measurement = Annotated[
    Skill
    | SkillDrift
    | Worth
    | RuleFired
    | GoldPlan
    | GoldMark
    | ErrorPatterns
    | GoldResult
    | Agreement
    | PairAgreement
    | Calibration
    | Quarantine
    | Disagreement
    | ClassMix
    | Certificate
    | Anchoring
    | Accuracy
    | ModelCalibration
    | DriftAlarm,
    Field(discriminator="kind"),
]


class Quality(Event):
    """One measurement. `subject` is what it is about; `sequence` makes repeats of one kind distinct."""

    ce_type: ClassVar[str] = "labelstream.quality.v1"

    project_id: Slug
    subject: ItemId
    sequence: Annotated[str, Field(max_length=600), NoNul()]
    measurement: Measurement
    snapshot: BigCount = 0
    measured_at: Timestamp

    @property
    def key(self) -> str:
        return f"{self.project_id}/{self.subject}"

    @property
    def event_id(self) -> UUID:
        return derived_id(self.ce_type, self.project_id, self.subject, self.measurement.kind, self.sequence)

    @property
    def time(self) -> Timestamp:
        return self.measured_at
