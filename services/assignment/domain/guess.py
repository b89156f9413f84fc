"""What a model proposed for an item, as assignment keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from shared.events import Abstention, Prediction, Proposal, Sketch, unchecked
from shared.labels import Choice, LabelValue, Names


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A prediction or abstention in short; stored as its JSON.

    `label`: what the item is labelled as, on the word of this prediction or an earlier one; until a round is opened.
    `sketch`, `features`: of the item; kept until it is routed.
    `held_out`: no model learns from it; the first prediction says so, and it stays.
    """

    value: LabelValue | None = None
    distribution: Mapping[str, float] | None = None
    confidence: float | None = None
    margin: float | None = None
    entropy: float | None = None
    object_scores: tuple[float, ...] | None = None
    abstention: Abstention | None = None
    model_version: str | None = None
    generation: int = 0
    predicted_at: datetime
    label: LabelValue | None = None
    source: str | None = None
    client: str | None = None
    sketch: Sketch | None = None
    features: Sketch | None = None
    held_out: bool | None = None

    @classmethod
    def of(cls, prediction: Prediction) -> "Guess":
        """The guess of a prediction."""
        return Guess(
            value=prediction.value,
            distribution=prediction.distribution,
            confidence=prediction.confidence,
            margin=prediction.margin,
            entropy=prediction.entropy,
            object_scores=prediction.object_scores,
            abstention=prediction.abstention,
            model_version=prediction.model_version,
            generation=prediction.generation,
            predicted_at=prediction.predicted_at,
            source=prediction.source,
            client=prediction.client,
            sketch=prediction.sketch,
            features=prediction.features,
            held_out=prediction.held_out,
        )

    @classmethod
    def of_proposal(cls, proposal: Proposal, at: datetime) -> "Guess":
        """The guess that an annotation or label of ours carried (rebuild)."""
        return Guess(
            value=proposal.value,
            distribution=proposal.distribution,
            confidence=proposal.confidence,
            model_version=proposal.model_version,
            generation=proposal.generation,
            predicted_at=at,
            source=proposal.source,
            client=proposal.client,
        )

    def named(self, names: Names) -> "Guess":
        """The same in present names of classes."""
        if not names:
            return self
        value = None if self.value is None else names.value(self.value)
        shares = None if self.distribution is None else names.shares(self.distribution)
        label = None if self.label is None else names.value(self.label)
        return replace(self, value=value, distribution=shares, label=label)

    def freed(self) -> "Guess":
        """The same where it is no label any more."""
        return self if self.label is None else replace(self, label=None)

    @property
    def order(self) -> tuple[int, datetime, str]:
        """The order in which guesses replace each other: a lower generation never overrides a higher one."""
        return self.generation, self.predicted_at, self.model_version or ""

    @property
    def likely(self) -> str | None:
        """The class it proposes, where the label is one of a list."""
        return self.value.choice if isinstance(self.value, Choice) else None

    @property
    def proposal(self) -> Proposal | None:
        """What people and labels get to see of it; None for an abstention."""
        if self.value is None or self.confidence is None or self.model_version is None:
            return None
        return unchecked(
            Proposal,
            value=self.value,
            confidence=self.confidence,
            model_version=self.model_version,
            generation=self.generation,
            distribution=self.distribution,
            source=self.source,
            client=self.client,
        )


def newest(one: Guess | None, other: Guess | None) -> Guess | None:
    """The join of two guesses."""
    if one is None or other is None:
        return one or other
    newer, older = (other, one) if other.order > one.order else (one, other)
    label = newer.label if newer.label is not None else older.label
    held_out = newer.held_out or older.held_out
    if label is newer.label and held_out is newer.held_out:
        return newer
    return replace(newer, label=label, held_out=held_out)
