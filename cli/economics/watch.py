"""What the topics say while the policies run: labels, opinions and models of every project."""

import asyncio
from collections import defaultdict

from cli.reading import follow
from cli.scoring import Ledger
from shared.bus.records import Received
from shared.events import Annotation, Label, ModelPointer, ModelVersion, Path
from shared.runtime.settings import KafkaSettings
from shared.topics import ANNOTATIONS, LABELS, MODELS


class Watch:
    """Everything seen so far, by project; repeats change nothing."""

    def __init__(self) -> None:
        self.ledgers: defaultdict[str, Ledger] = defaultdict(Ledger)
        self.live: dict[str, ModelPointer] = {}
        self._versions: dict[tuple[str, str], ModelVersion] = {}

    async def run(self, kafka: KafkaSettings) -> None:
        """Follow the topics until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(follow(kafka, LABELS, self._label))
            group.create_task(follow(kafka, ANNOTATIONS, self._annotation))
            group.create_task(follow(kafka, MODELS, self._model))

    def by_people(self, project: str) -> int:
        """Live labels that people gave."""
        return sum(label.path is not Path.AUTO for label in self.ledgers[project].labels.values())

    def live_version(self, project: str) -> ModelVersion | None:
        """The live model of a project, as it was registered."""
        pointer = self.live.get(project)
        return None if pointer is None else self._versions.get((project, pointer.version))

    def _label(self, received: Received[Label]) -> None:
        self.ledgers[received.event.project_id].add_label(received.event)

    def _annotation(self, received: Received[Annotation]) -> None:
        self.ledgers[received.event.project_id].add_annotation(received.event)

    def _model(self, received: Received[ModelVersion | ModelPointer]) -> None:
        match received.event:
            case ModelPointer() as pointer:
                known = self.live.get(pointer.project_id)
                if known is None or pointer.generation > known.generation:
                    self.live[pointer.project_id] = pointer
            case ModelVersion() as version:
                self._versions[version.project_id, version.version] = version
