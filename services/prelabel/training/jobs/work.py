"""Running children: one at a time, with a time limit, ended when we are."""

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from services.prelabel.store.files import read_model, store_model
from services.prelabel.training.domain.checking import mismatch
from services.prelabel.training.settings import TrainerSettings
from services.prelabel.training.store.kept import Kept
from services.prelabel.training.work import guard
from services.prelabel.training.work.files import (
    ANSWERS,
    CONTENTS,
    MANIFEST,
    MODEL,
    OWN,
    TRAIN,
    Job,
    Refused,
    Report,
    read_columns,
    read_manifest,
    read_refusal,
    read_report,
    write_table,
)
from shared.bus.references import CurrentProject
from shared.errors import LabelstreamError
from shared.events import Manifest, ModelVersion

log = structlog.get_logger(__name__)
MODULE = "services.prelabel.training.work"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


class TrainingRefused(LabelstreamError):  # noqa: N818  # it is what happened
    """No model comes of these labels, or not one that may be registered: why. More labels may change that."""


class TrainingFailed(LabelstreamError):  # noqa: N818  # it is what happened
    """A child crashed or took too long; it is tried again."""


@dataclass(frozen=True, slots=True)
class Made:
    """A model that a training made, with its own predictions of some contents where it gives them."""

    content: bytes
    manifest: Manifest
    report: Report
    own: Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says of a content; empty where it abstains."""

    category: str
    probabilities: tuple[float, ...]


class Workshop:
    """Where models are made and asked, in processes of their own."""

    def __init__(self, settings: TrainerSettings, kept: Kept) -> None:
        self._settings = settings
        self._kept = kept

    def job(self, project: CurrentProject) -> Job:
        """What is asked of a child about this project.

        Raises:
            TrainingRefused: the project names an encoder that the settings do not have.
        """
        training = project.spec.training
        name = training.encoder if training is not None else None
        if name is not None and name not in self._settings.encoders:
            raise TrainingRefused(f"LABELSTREAM_TRAINER_ENCODERS has no encoder {name!r}")
        return Job(
            project=project.project_id,
            data=project.spec.data,
            label=project.spec.label,
            seed=self._settings.seed,
            largest_picture=self._settings.largest_picture,
            image_max_pixels=self._settings.image_max_pixels,
            encoder=self._settings.encoders[name] if name is not None else None,
        )

    async def fit(self, project: CurrentProject, training_set: Path) -> Made:
        """Train on a set, by the built-in training or the project's own command.

        Raises:
            TrainingRefused: nothing can be made of it, or the settings lack what the project names.
            TrainingFailed: the child crashed, or took too long.
        """
        command, job = self._command(project), self.job(project)
        async with self._directory() as directory:
            await asyncio.to_thread(job.write, directory)
            await asyncio.to_thread(_link, training_set, directory / TRAIN)
            await self._run(command, directory, within_s=self._settings.timeout_s)
            return await asyncio.to_thread(self._collect, directory)

    async def answers(
        self, job: Job, content: bytes, manifest: Manifest, contents: Mapping[str, bytes]
    ) -> dict[str, Answer]:
        """What a model says of contents (hash to JSON), as prelabel would have it.

        Raises:
            TrainingRefused: prelabel would refuse the model.
            TrainingFailed: the child crashed, or took too long.
        """
        if not contents:
            return {}
        async with self._directory() as directory:
            await asyncio.to_thread(_write_question, directory, job, content, manifest, contents)
            await self._run(_own("answer"), directory, within_s=self._settings.timeout_s)
            columns = await asyncio.to_thread(
                read_columns, directory / ANSWERS, "content_hash", "category", "probabilities"
            )
        return {name: Answer(said, tuple(shares)) for name, said, shares in zip(*columns, strict=True)}

    async def check(self, job: Job, made: Made, contents: Mapping[str, bytes]) -> None:
        """Compare an exported model with the predictions of who made it.

        Raises:
            TrainingRefused: they differ.
        """
        asked = {name: contents[name] for name in made.own if name in contents}
        found = await self.answers(job, made.content, made.manifest, asked)
        why = mismatch(
            {name: made.own[name] for name in asked}, {name: one.probabilities for name, one in found.items()}
        )
        if why is not None:
            raise TrainingRefused(f"the export does not say what was trained: {why}")

    async def keep(self, content: bytes) -> str:
        """Put a model where prelabel finds it; gives its URI."""
        settings = self._settings
        return await asyncio.to_thread(store_model, content, directory=settings.model_dir, store=settings.model_store)

    async def read(self, version: ModelVersion) -> bytes:
        """The verified bytes of a registered model.

        Raises:
            ModelRefused, ModelUnavailable: see `read_model`.
        """
        return await asyncio.to_thread(
            read_model,
            version.uri,
            sha256=version.sha256,
            size_bytes=version.size_bytes,
            directory=self._settings.model_dir,
            max_bytes=self._settings.model_max_bytes,
        )

    def _command(self, project: CurrentProject) -> list[str]:
        name = project.spec.training.command if project.spec.training is not None else None
        if name is None:
            return _own("fit")
        if name not in self._settings.commands:
            raise TrainingRefused(f"LABELSTREAM_TRAINER_COMMANDS has no command {name!r}")
        return list(self._settings.commands[name])

    def _collect(self, directory: Path) -> Made:
        path = directory / MODEL
        try:
            if path.stat().st_size > self._settings.model_max_bytes:
                raise TrainingRefused(f"the model is larger than {self._settings.model_max_bytes} bytes")
            content, manifest = path.read_bytes(), read_manifest(directory)
        except (OSError, Refused) as error:
            raise TrainingRefused(f"the training wrote no {MODEL} and {MANIFEST} that can be read: {error}") from error
        own: dict[str, Sequence[float]] = {}
        if (directory / OWN).exists():
            hashes, shares = read_columns(directory / OWN, "content_hash", "probabilities")
            own = dict(zip(hashes, shares, strict=True))
        return Made(content, manifest, read_report(directory), own)

    def _new_directory(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._kept.jobs)).resolve()

    @asynccontextmanager
    async def _directory(self) -> AsyncGenerator[Path]:
        directory = await asyncio.to_thread(self._new_directory)
        try:
            yield directory
        finally:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def _run(self, command: Sequence[str], directory: Path, *, within_s: float) -> None:
        """Run a child on a directory; it is killed at the limit, and when this task is cancelled."""
        megabytes = str(self._settings.memory_mb or 0)
        guarded = [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), megabytes, *command, str(directory)]
        child = await asyncio.create_subprocess_exec(
            *guarded,
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            env=environment(self._settings.seed),
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(within_s):
                code = await child.wait()
        except TimeoutError as error:
            raise TrainingFailed(f"it took longer than {within_s:g} s and was ended") from error
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, 9)
                await child.wait()
        if code != 0:
            why = await asyncio.to_thread(read_refusal, directory)
            if why is not None:
                raise TrainingRefused(why)
            raise TrainingFailed(f"its process ended with code {code}; run it on the same files to see why")


def _own(what: str) -> list[str]:
    return [sys.executable, "-m", MODULE, what]


def _link(source: Path, target: Path) -> None:
    target.symlink_to(source.resolve())


def _write_question(
    directory: Path, job: Job, content: bytes, manifest: Manifest, contents: Mapping[str, bytes]
) -> None:
    job.write(directory)
    (directory / MODEL).write_bytes(content)
    (directory / MANIFEST).write_text(manifest.model_dump_json(exclude_none=True))
    texts = [text.decode("utf-8", "surrogatepass") for text in contents.values()]
    write_table(directory / CONTENTS, {"content_hash": list(contents), "content": texts})


def environment(seed: int) -> dict[str, str]:
    """A child's variables: no secret of ours, one thread, the same hash of every text."""
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    path = os.pathsep.join(each for each in sys.path if each)
    return passed | dict.fromkeys(THREADS, "1") | {"PYTHONPATH": path, "PYTHONHASHSEED": str(seed % 2**32)}
