"""What the stream shows while it runs: labels, opinions, predictions and quality, gathered from the topics."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from cli.reading import follow
from cli.scoring import Ledger
from shared.bus.records import Received
from shared.events import Annotation, GoldResult, Label, Path, Prediction, Quality, Quarantine, Skill
from shared.labels import category
from shared.runtime.settings import KafkaSettings
from shared.topics import ANNOTATIONS, LABELS, PREDICTIONS, QUALITY


@dataclass(slots=True)
class Watch:
    """Everything seen so far; repeats change nothing.

    Attributes:
        items: the items of the stream; events of others are left out.
        ledger: labels and opinions.
        predicted: item -> (generation, model version) of its newest prediction.
        skills: annotator -> the latest measurement.
        gold: annotation id -> whether a gold item was answered right.
        quarantined: annotators who are not asked any more.
    """

    items: frozenset[str]
    ledger: Ledger = field(default_factory=Ledger)
    predicted: dict[str, tuple[int, str]] = field(default_factory=dict)
    skills: dict[str, Skill] = field(default_factory=dict)
    gold: dict[str, bool] = field(default_factory=dict)
    quarantined: set[str] = field(default_factory=set)

    async def run(self, kafka: KafkaSettings) -> None:
        """Follow the topics until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(follow(kafka, LABELS, self._label))
            group.create_task(follow(kafka, ANNOTATIONS, self._annotation))
            group.create_task(follow(kafka, PREDICTIONS, self._prediction))
            group.create_task(follow(kafka, QUALITY, self._quality))

    def _label(self, received: Received[Label]) -> None:
        self.ledger.add_label(received.event)

    def _annotation(self, received: Received[Annotation]) -> None:
        self.ledger.add_annotation(received.event)

    def _prediction(self, received: Received[Prediction]) -> None:
        event = received.event
        if event.item_id not in self.items:
            return
        known = self.predicted.get(event.item_id)
        if known is None or event.generation >= known[0]:
            self.predicted[event.item_id] = (event.generation, event.model_version or "none")

    def _quality(self, received: Received[Quality]) -> None:
        match received.event.measurement:
            case Skill() as skill:
                known = self.skills.get(skill.annotator_id)
                if known is None or skill.judged >= known.judged:
                    self.skills[skill.annotator_id] = skill
            case GoldResult() as result:
                self.gold[str(result.annotation_id)] = result.correct
            case Quarantine() as quarantine:
                change = self.quarantined.add if quarantine.active else self.quarantined.discard
                change(quarantine.annotator_id)
            case _:
                pass

    def models(self) -> Mapping[str, int]:
        """Model version -> items whose newest prediction it made."""
        return Counter(version for _, version in self.predicted.values())

    def measured(self) -> bool:
        """Whether qc has told the skill of everybody from all their answers that a consensus has judged."""
        agreed = (label for label in self.ledger.labels.values() if label.path is Path.CONSENSUS)
        judged = Counter(vote.annotator_id for label in agreed for vote in label.evidence.votes)
        return all(who in self.skills and self.skills[who].judged >= number for who, number in judged.items())

    def corrected(self) -> dict[str, str]:
        """Item -> category, of the live labels that people made: what a next model may learn from."""
        return {item: category(label.value) for item, label in self.ledger.labels.items() if label.path.value != "auto"}
