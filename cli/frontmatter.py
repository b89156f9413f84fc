"""A guideline file: Markdown, with a head between lines of `---` that says what the change touches.

---
version: 3
touches: [neutral]

Examples:
  - {text: "It does what it says.", label: neutral, why: a statement is no praise}
---
# How to judge a review
"""

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cli.project.yamltree import dotted, parse
from shared.errors import ConfigurationError
from shared.events import BorderlineExample
from shared.events.base import Name, Version

FENCE = "---\n"


class Head(BaseModel):
    """What the head may say; all of it is optional."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Version | None = Field(default=None, description="Refused where it is not the next one.")
    touches: tuple[Name, ...] = Field(default=(), description="Classes whose meaning the change touches.")
    examples: tuple[BorderlineExample, ...] = Field(default=(), max_length=200)


@dataclass(frozen=True, slots=True)
class GuidelineText:
    """A guideline file, read."""

    markdown: str
    head: Head = field(default_factory=Head)


def read_guideline(file: Path) -> GuidelineText:
    """Read a guideline file.

    Raises:
        ConfigurationError: it cannot be read, or its head is wrong; names the line.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read as UTF-8 text: {error}") from error
    if not text.startswith(FENCE):
        return GuidelineText(text)
    head, fence, body = text.removeprefix(FENCE).partition("\n" + FENCE)
    if not fence:
        raise ConfigurationError(f"{file}:1: the head that begins here has no end; close it with a line of ---")
    return GuidelineText(body.lstrip("\n"), _head(head, file))


def _head(text: str, file: Path) -> Head:
    tree = parse(text.encode())
    wrong = [f"{file}:{one.place.line + 1}: {one.path}: {one.message}" for one in tree.mistakes]
    if wrong:
        raise ConfigurationError("\n".join(wrong))
    try:
        return Head.model_validate(tree.data)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        told = []
        for one in details:
            place = tree.place(one["loc"], key=one["type"] == "extra_forbidden")
            told.append(f"{file}:{place.line + 1}: {dotted(one['loc'])}: {one['msg'].removeprefix('Value error, ')}")
        raise ConfigurationError("\n".join(told)) from None
