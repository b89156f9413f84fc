"""A recorded crowd: `answers.csv`, and where there are, `truth.csv` and `items.jsonl`. Read strictly, by line."""

import csv
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from shared.errors import ConfigurationError
from shared.events import Content, JsonContent, TextContent

MAX_CLASSES = 200
MAX_CLASS_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What one worker chose for one task."""

    worker: str
    label: str


@dataclass(frozen=True, slots=True)
class Crowd:
    """A recorded crowd.

    Attributes:
        answers: task -> answers in the order in which they will be used, one per worker.
        classes: every label that occurs in answers or truth, sorted.
        truth: task -> label, for the tasks that have one.
        contents: task -> content, for the tasks that have one.
    """

    answers: Mapping[str, Sequence[Answer]]
    classes: tuple[str, ...]
    truth: Mapping[str, str]
    contents: Mapping[str, Content]

    @property
    def tasks(self) -> list[str]:
        return list(self.answers)

    @property
    def workers(self) -> list[str]:
        return sorted({answer.worker for given in self.answers.values() for answer in given})

    def content(self, task: str) -> Content:
        """The task's content, or its id as text where none was recorded."""
        return self.contents.get(task) or TextContent(text=task)


def read_crowd(
    answers: Path, *, truth: Path | None = None, items: Path | None = None, limit: int | None = None, seed: int = 0
) -> Crowd:
    """Read a recorded crowd.

    Args:
        answers: CSV with the columns task, worker, label and perhaps timestamp; of repeats the last counts.
        truth: CSV with the columns task, label.
        items: JSON lines with `task` and the content.
        limit: only this many tasks, the first that were answered.
        seed: shuffles the answers of a task where no timestamps were recorded.

    Raises:
        ConfigurationError: names file, line and what to do; also for structured answers.
    """
    given = _answers(answers, limit, seed)
    known = {task: label for task, label in _truth(truth) if task in given} if truth is not None else {}
    found = {answer.label for one in given.values() for answer in one} | set(known.values())
    _check_classes(answers, found)
    contents = dict(_contents(items, given)) if items is not None else {}
    return Crowd(given, tuple(sorted(found)), known, contents)


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise ConfigurationError(f"{path}:1: no column {', '.join(missing)}; the first line must name it")
            for row in reader:
                empty = [name for name in columns if not row[name]]
                if empty:
                    raise ConfigurationError(f"{path}:{reader.line_num}: {', '.join(empty)} is empty; remove the line")
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error


def _answers(path: Path, limit: int | None, seed: int) -> dict[str, list[Answer]]:
    latest: dict[str, dict[str, tuple[str, str]]] = {}
    for _, row in _rows(path, ("task", "worker", "label")):
        task = row["task"]
        if task not in latest and limit is not None and len(latest) >= limit:
            continue
        workers = latest.setdefault(task, {})
        workers.pop(row["worker"], None)
        workers[row["worker"]] = (row.get("timestamp") or "", row["label"])
    if not latest:
        raise ConfigurationError(f"{path}: holds no answers; give a CSV of task,worker,label")
    return {task: _ordered(task, workers, seed) for task, workers in latest.items()}


def _ordered(task: str, workers: Mapping[str, tuple[str, str]], seed: int) -> list[Answer]:
    """By recorded time where every answer has one, else shuffled by the seed and the task."""
    if all(timestamp for timestamp, _ in workers.values()):
        ranked = sorted(workers.items(), key=lambda entry: entry[1][0])
        return [Answer(worker, label) for worker, (_, label) in ranked]
    shuffled = [Answer(worker, label) for worker, (_, label) in sorted(workers.items())]
    random.Random(f"{seed}/{task}").shuffle(shuffled)  # noqa: S311  # not for secrets
    return shuffled


def _truth(path: Path) -> Iterator[tuple[str, str]]:
    for _, row in _rows(path, ("task", "label")):
        yield row["task"], row["label"]


def _check_classes(path: Path, found: set[str]) -> None:
    structured = next((label for label in found if label.startswith(("[", "{"))), None)
    if structured is not None:
        raise ConfigurationError(
            f"{path}: the answers are structured ({structured[:40]} ...); replay takes answers of one class each"
        )
    longest = max(map(len, found))
    if len(found) > MAX_CLASSES or longest > MAX_CLASS_LENGTH:
        raise ConfigurationError(
            f"{path}: {len(found)} different labels of up to {longest} characters look like free text; "
            f"replay takes answers of one class each, at most {MAX_CLASSES} classes"
        )
    if len(found) < 2:  # noqa: PLR2004
        raise ConfigurationError(f"{path}: all answers are {found.pop()!r}; there is nothing to decide")


def _contents(path: Path, wanted: Mapping[str, object]) -> Iterator[tuple[str, Content]]:
    for _, task, document in read_documents(path):
        if task in wanted:
            yield task, _content(document)


def read_documents(path: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(line, task, what else it says) of JSON lines.

    Raises:
        ConfigurationError: names file, line and what to do.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    document = _object(path, number, line)
                    yield number, str(document.pop("task")), document
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError as error:
        raise ConfigurationError(f"{path}:{number}: not JSON: {error}") from error
    if not isinstance(document, dict) or "task" not in document:
        raise ConfigurationError(f'{path}:{number}: must be an object with "task"')
    return document


def _content(document: dict[str, JsonValue]) -> Content:
    """One text stays a text; several fields are shown as fields."""
    text = document.get("content", document.get("text"))
    if isinstance(text, str) and len(document) == 1:
        return TextContent(text=text.replace("\x00", ""))
    return JsonContent(fields=document)
