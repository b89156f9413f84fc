"""Reading a recorded crowd into arrays; strict, by line, and lean enough for millions of answers."""

import csv
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.qc.domain.agreement import Order
from services.qc.domain.answers import Answers, Ints, answers_of
from shared.errors import ConfigurationError

MAX_CLASSES = 200
MAX_FIELD = 50_000_000
"""Characters of one column: a label may be a list of outlines."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A file of answers.

    Attributes:
        answers: of repeats by one worker to one task the last.
        tasks, workers, classes: their names, in the order of the indices; all sorted, classes by number or as given.
        arrived: (3, answers as recorded); item, annotator, symbol in the order of the file, repeats among them.
        order: what is known about the classes.
    """

    answers: Answers
    tasks: tuple[str, ...]
    workers: tuple[str, ...]
    classes: tuple[str, ...]
    arrived: Ints
    order: Order

    def truth(self, path: Path) -> Ints:
        """The class of each task, -1 where the file has none; classes that nobody ever gave are -2.

        Raises:
            ConfigurationError: names file and line.
        """
        places = {name: place for place, name in enumerate(self.tasks)}
        known = {name: place for place, name in enumerate(self.classes)}
        found = np.full(len(self.tasks), -1, dtype=np.int32)
        for _, (task, label) in rows_of(path, ("task", "label")):
            if task in places:
                found[places[task]] = known.get(label, -2)
        return found


def rows_of(path: Path, columns: tuple[str, ...], *, blank: str = "") -> Iterator[tuple[int, list[str]]]:
    """The named columns of each line, none of them empty but the one named `blank`.

    Raises:
        ConfigurationError: names file, line and what to do.
    """
    csv.field_size_limit(MAX_FIELD)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            missing = [name for name in columns if name not in header]
            if missing:
                raise ConfigurationError(f"{path}:1: no column {', '.join(missing)}; the first line must name it")
            places = [header.index(name) for name in columns]
            for row in reader:
                if not row:
                    continue
                try:
                    picked = [row[place] for place in places]
                except IndexError:
                    raise ConfigurationError(f"{path}:{reader.line_num}: {len(row)} columns; add the missing") from None
                if not all(value or name == blank for name, value in zip(columns, picked, strict=True)):
                    raise ConfigurationError(f"{path}:{reader.line_num}: an empty column; fill it or remove the line")
                yield reader.line_num, picked
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error


def _number(name: str) -> float | None:
    try:
        found = float(name)
    except ValueError:
        return None
    return found if np.isfinite(found) else None


def _ordered(path: Path, found: set[str], given: tuple[str, ...] | None) -> tuple[tuple[str, ...], Order]:
    """The classes in their order: as given, by number where all are numbers, else by name, which is no order."""
    if given is not None:
        strange = sorted(found.difference(given))
        if strange:
            raise ConfigurationError(
                f"{path}: the answer {strange[0]!r} is not in the order {', '.join(given)}; add it"
            )
        classes = given
    else:
        classes = tuple(sorted(found))
    numbers = [_number(name) for name in classes]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        return classes, Order(ordered=given is not None)
    if given is None:
        classes = tuple(sorted(classes, key=lambda name: (float(name), name)))
    return classes, Order(ordered=True, values=np.array([float(name) for name in classes]))


def read_recorded(path: Path, *, order: tuple[str, ...] | None = None, at_most: int = MAX_CLASSES) -> Recorded:
    """Read a CSV of task, worker, label; more columns are left alone.

    Args:
        path: of the file.
        order: the classes from lowest to highest, where they are ordered and no numbers.
        at_most: more different labels are refused: they would be free text.

    Raises:
        ConfigurationError: names file, line and what to do.
    """
    names: tuple[dict[str, int], ...] = ({}, {}, {})
    columns = tuple(array("i") for _ in names)
    for line, row in rows_of(path, ("task", "worker", "label")):
        for value, known, column in zip(row, names, columns, strict=True):
            column.append(known.setdefault(value, len(known)))
        if len(names[2]) > at_most:
            raise ConfigurationError(
                f"{path}:{line}: more than {at_most} different labels look like free text or structures;"
                " this takes answers of one class each"
            )
    if not columns[0]:
        raise ConfigurationError(f"{path}: holds no answers; give a CSV of task,worker,label")
    tasks, workers = sorted(names[0]), sorted(names[1])
    classes, known_order = _ordered(path, set(names[2]), order)
    sortings = []
    for known, ordered in zip(names, (tasks, workers, classes), strict=True):
        place = {name: index for index, name in enumerate(ordered)}
        sortings.append(np.array([place[name] for name in known], dtype=np.int32))
    arrived = np.stack([to[np.frombuffer(c, dtype=np.int32)] for to, c in zip(sortings, columns, strict=True)])
    sizes = (len(tasks), len(workers), len(classes))
    answers = answers_of(arrived[0], arrived[1], arrived[2], sizes)
    return Recorded(answers, tuple(tasks), tuple(workers), tuple(classes), arrived, known_order)
