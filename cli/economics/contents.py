"""The contents of a recorded crowd as a model can learn from them: features, or all texts of a task as one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from cli.replay.dataset import Crowd, read_documents
from shared.errors import ConfigurationError
from shared.events import Content, FeaturesContent, TextContent

GROUP = "group"


@dataclass(frozen=True, slots=True)
class Contents:
    """What the items of a run hold.

    Attributes:
        by_task: task -> content.
        groups: task -> what its copies share; empty where the file names none.
        data: the kind of all contents.
        learnable: whether there is anything to learn from: not where the items are only names.
    """

    by_task: Mapping[str, Content]
    groups: Mapping[str, str]
    data: Literal["text", "features"]
    learnable: bool


def read_contents(items: Path | None, crowd: Crowd) -> Contents:
    """Contents for every task of a crowd.

    Args:
        items: JSON lines of {"task": id, ...}: `features` as numbers, or texts; `group` names what copies share.
        crowd: the recording.

    Raises:
        ConfigurationError: names file, line and what to do.
    """
    if items is None:
        return Contents({task: TextContent(text=task) for task in crowd.tasks}, {}, "text", learnable=False)
    found: dict[str, Content] = {}
    groups: dict[str, str] = {}
    for number, task, document in read_documents(items):
        if task not in crowd.answers:
            continue
        group = document.pop(GROUP, None)
        if group is not None:
            groups[task] = str(group)
        found[task] = _content(items, number, document)
    missing = [task for task in crowd.tasks if task not in found]
    if missing:
        raise ConfigurationError(f"{items}: {len(missing)} tasks have answers and no line, the first is {missing[0]!r}")
    kinds = {content.kind for content in found.values()}
    if len(kinds) > 1:
        raise ConfigurationError(f"{items}: some lines have features, others have not; a model learns from one kind")
    if groups and len(groups) < len(found):
        raise ConfigurationError(f"{items}: {len(found) - len(groups)} lines have no group; give one to all or to none")
    return Contents(found, groups, "features" if kinds == {"features"} else "text", learnable=True)


def _content(path: Path, number: int, document: Mapping[str, Any]) -> Content:
    features = document.get("features")
    if features is not None:
        try:
            return FeaturesContent(features=tuple(features))
        except (TypeError, ValidationError) as error:
            raise ConfigurationError(f"{path}:{number}: features must be a list of numbers") from error
    return TextContent(text="\n".join(_texts(document)).replace("\x00", "") or "-")


def _texts(value: object) -> Iterator[str]:
    """Every text in a document, in its order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, Sequence):
        words = [one for one in value if isinstance(one, str)]
        yield " ".join(words)
        for one in value:
            if not isinstance(one, str):
                yield from _texts(one)
