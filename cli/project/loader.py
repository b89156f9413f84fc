"""A project file, read strictly: each mistake with its line, its path, and what to do."""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath
from typing import Any, get_args

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cli.project.presets import expand
from cli.project.yamltree import Mistake, Path, Plain, Tree, dotted, parse
from shared.errors import ConfigurationError
from shared.events import Mapping, ProjectSpec

NOT_PATHS = frozenset({"metadata"})
SLUG = r"^[a-z0-9][a-z0-9_-]{0,62}$"
LONGEST_SHOWN = 80


class ProjectFileError(ConfigurationError):
    """A project file with mistakes, one per line."""

    def __init__(self, file: str, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: mistake.place))
        super().__init__("\n".join(mistake.describe(file) for mistake in self.mistakes))


def load(file: FilePath) -> ProjectSpec:
    """Read and validate a project file.

    Raises:
        ProjectFileError: everything that is wrong with it, by line.
        ConfigurationError: it cannot be read at all.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}; give the path of a project file (YAML)") from error
    return loads(content, str(file))


def loads(content: bytes, name: str = "project.yaml") -> ProjectSpec:
    """As `load`, from bytes; `name` is used in messages."""
    tree = parse(content)
    if tree.mistakes:
        raise ProjectFileError(name, tree.mistakes)
    if not isinstance(tree.data, dict):
        raise ProjectFileError(name, [Mistake(tree.place(()), "", "a project file is a mapping: `project: name` ...")])
    tree.data, unknown = expand(tree)
    if unknown:
        raise ProjectFileError(name, unknown)
    try:
        spec = ProjectSpec.model_validate(tree.data, extra="forbid")
    except ValidationError as error:
        raise ProjectFileError(name, _mistakes(tree, error)) from None
    wrong = list(_expressions(tree, spec))
    if wrong:
        raise ProjectFileError(name, wrong)
    return spec


def _expressions(tree: Tree, spec: ProjectSpec) -> Iterator[Mistake]:
    """Mistakes in the JMESPath expressions of the sources."""
    for number, source in enumerate(spec.sources):
        base: Path = ("sources", number, "map")
        named = {(*base, name): getattr(source.map, name) for name in Mapping.model_fields if name not in NOT_PATHS}
        named |= {(*base, "metadata", name): text for name, text in source.map.metadata.items()}
        for path, text in named.items():
            if text is None:
                continue
            try:
                jmespath.compile(text)
            except JMESPathError as error:
                problem = " ".join(str(error).split())
                yield Mistake(tree.place(path), dotted(path), f"{text!r} is not a JMESPath expression: {problem}")


def _mistakes(tree: Tree, error: ValidationError) -> list[Mistake]:
    found: dict[Path, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        found.setdefault(_resolve(tree.data, detail["loc"], detail["type"]), []).append(detail)
    inner = {path[:depth] for path in found for depth in range(len(path))}
    return [
        _mistake(tree, path, details)
        for path, details in found.items()
        if not (path in inner and details[0]["type"] == "too_short")  # counted without its mistaken values
    ]


def _resolve(data: Plain, loc: tuple[int | str, ...], kind: str) -> Path:
    """The path in the file of a pydantic location, which also names the tags of unions."""
    path: list[int | str] = []
    here = data
    for number, part in enumerate(loc):
        if _holds(here, part):
            here = here[part]  # type: ignore[index]  # as just checked
        elif kind == "missing" and number == len(loc) - 1:
            pass
        else:
            continue
        path.append(part)
    return tuple(path)


def _holds(here: Plain, part: int | str) -> bool:
    if isinstance(here, list):
        return isinstance(part, int) and part < len(here)
    return isinstance(here, dict) and part in here


def _mistake(tree: Tree, path: Path, details: Sequence[ErrorDetails]) -> Mistake:
    first = details[0]
    kind = first["type"]
    if kind == "extra_forbidden":
        return Mistake(tree.place(path, key=True), dotted(path), _unknown(path, first["loc"]))
    if kind == "missing":
        return Mistake(tree.place(path[:-1]), dotted(path), "is missing; add it here")
    if kind == "union_tag_not_found":
        tag = str(first.get("ctx", {}).get("discriminator", "'kind'")).strip("'")
        return Mistake(tree.place(path), dotted((*path, tag)), "is missing; it says which kind this is")
    written = tree.texts.get(path)
    return Mistake(tree.place(path), dotted(path), " or ".join(dict.fromkeys(_say(one, written) for one in details)))


def _say(detail: ErrorDetails, written: str | None) -> str:
    context = detail.get("ctx", {})
    if detail["type"] == "union_tag_invalid":
        return _unknown_tag(str(context["tag"]), str(context["expected_tags"]), str(context["discriminator"]))
    message = detail["msg"].removeprefix("Value error, ")
    if context.get("pattern") == SLUG:
        message = "should be lower-case letters, digits, '-' and '_', at most 63, starting with a letter or digit"
    message = message.removeprefix("Input ")
    message = message[:1].lower() + message[1:]
    if written is None:
        return message
    shown = written if len(written) <= LONGEST_SHOWN else written[:LONGEST_SHOWN] + "..."
    given = detail["input"]
    if detail["type"] == "string_type" and given is not None:
        return f'should be a text, but YAML reads {shown} as {_yaml_kind(given)}; write it in quotes: "{shown}"'
    return f"{message} (it is {shown or 'empty'})"


def _yaml_kind(given: object) -> str:
    if isinstance(given, bool):
        return "yes or no"
    return "a number" if isinstance(given, int | float) else "a date"


def _unknown_tag(tag: str, expected: str, discriminator: str) -> str:
    known = [name.strip().strip("'") for name in expected.split(",")]
    near = difflib.get_close_matches(tag, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return f"{discriminator} is {tag!r}, which is unknown; {hint}"


def _unknown(path: Path, loc: tuple[int | str, ...]) -> str:
    names = sorted(_fields(loc[:-1]))
    near = difflib.get_close_matches(str(path[-1]), names, n=1, cutoff=0.6)
    if near:
        return f"unknown key; did you mean {near[0]!r}?"
    return f"unknown key; remove it (known here: {', '.join(names)})"


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model that an annotation may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for part in get_args(annotation):
        yield from _models(part)


def _fields(loc: tuple[int | str, ...]) -> set[str]:
    """The keys allowed at a pydantic location."""
    here: list[type[BaseModel]] = [ProjectSpec]
    for part in loc:
        inside = [model for owner in here if part in owner.model_fields for model in _models(_type(owner, part))]
        tagged = [model for model in here if _tag(model, part)]
        here = inside or tagged or here
    return {name for model in here for name in model.model_fields}


def _type(owner: type[BaseModel], name: int | str) -> Any:
    return owner.model_fields[str(name)].annotation


def _tag(model: type[BaseModel], tag: int | str) -> bool:
    field = model.model_fields.get("kind")
    return field is not None and (field.default == tag or tag in get_args(field.annotation))
