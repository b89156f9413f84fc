"""YAML read strictly: plain values, the place where each stands, limits, and every mistake with its line."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAX_BYTES = 1_000_000
MAX_NODES = 50_000
MAX_DEPTH = 50

Path = tuple[str | int, ...]
Plain = object


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in the file; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong: where, on what, and what to do."""

    place: Place
    path: str
    message: str

    def describe(self, file: str) -> str:
        where = f"{file}:{self.place.line}:{self.place.column}"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


@dataclass(slots=True)
class Tree:
    """The values of a file, where each key and value stands, and each single value as it is written."""

    data: Plain = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Where `path` stands, or the nearest thing around it that does."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Place(1, 1))


def dotted(path: Path) -> str:
    """`policy.overlap.max`, `label.classes[2]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


class _TooMuch(Exception):  # noqa: N818
    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.message)
        self.mistake = mistake


class _Reader:
    """Turns the node graph into plain values; an alias is expanded, and counts each time."""

    def __init__(self, loader: yaml.SafeLoader, tree: Tree) -> None:
        self._loader = loader
        self._tree = tree
        self._nodes = 0

    def read(self, node: Node, path: Path) -> Plain:
        self._nodes += 1
        place = _place(node)
        self._tree.values.setdefault(path, place)
        if self._nodes > MAX_NODES or len(path) > MAX_DEPTH:
            limit = f"{MAX_NODES} values" if self._nodes > MAX_NODES else f"{MAX_DEPTH} levels"
            message = f"the file holds more than {limit} (aliases count each time they are used); make it smaller"
            raise _TooMuch(Mistake(place, "", message))
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.read(inner, (*path, number)) for number, inner in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> Mapping[str, Plain]:
        found: dict[str, Plain] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._wrong(key_node, path, "a key must be one word; write `name: value`")
                continue
            name = str(key_node.value)
            inner = (*path, name)
            if key_node.tag == "tag:yaml.org,2002:merge":
                self._wrong(key_node, path, "merge keys (<<) are not supported; write the values out")
                continue
            if name in found:
                first = self._tree.keys[inner]
                self._wrong(key_node, inner, f"the key is given twice (first in line {first.line}); keep one of them")
                continue
            self._tree.keys[inner] = _place(key_node)
            found[name] = self.read(value_node, inner)
        return found

    def _scalar(self, node: Node, path: Path) -> Plain:
        self._tree.texts[path] = str(node.value)
        try:
            return self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            problem = getattr(error, "problem", None) or str(error)
            self._wrong(node, path, f"{problem}; write a plain value, in quotes if it is a text")
            return None

    def _wrong(self, node: Node, path: Path, message: str) -> None:
        self._tree.mistakes.append(Mistake(_place(node), dotted(path), message))


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _decode(content: bytes) -> str | Mistake:
    if len(content) > MAX_BYTES:
        return Mistake(
            Place(1, 1), "", f"the file has {len(content):,} bytes, more than {MAX_BYTES:,}; make it smaller"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        place = Place(before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1)
        return Mistake(place, "", "this byte is not UTF-8; save the file as UTF-8")


def _syntax(error: yaml.MarkedYAMLError) -> Mistake:
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    problem = error.problem or str(error.context)
    if "'\\t'" in problem:
        return Mistake(place, "", "a tab; YAML indents with spaces: replace it")
    if "single document" in str(error.context) + problem:
        return Mistake(place, "", "a second document starts here; one file holds one project")
    context = f" {error.context}" if error.context else ""
    return Mistake(place, "", f"not YAML:{context} {problem}")


def parse(content: bytes) -> Tree:
    """Read one YAML document.

    Args:
        content: the file's bytes.

    Returns:
        The tree; where `mistakes` is not empty, `data` is not to be used.
    """
    tree = Tree()
    text = _decode(content)
    if isinstance(text, Mistake):
        tree.mistakes.append(text)
        return tree
    try:
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            if root is not None:
                tree.data = _Reader(loader, tree).read(root, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        tree.mistakes.append(_syntax(error))
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(before.count("\n") + 1, error.position - (before.rfind("\n") + 1) + 1)
        tree.mistakes.append(Mistake(place, "", f"the character U+{ord(text[error.position]):04X} is not allowed"))
    except _TooMuch as error:
        tree.mistakes.append(error.mistake)
    except RecursionError:
        tree.mistakes.append(Mistake(Place(1, 1), "", f"the file is nested deeper than {MAX_DEPTH} levels"))
    if tree.data is None and not tree.mistakes:
        tree.mistakes.append(Mistake(Place(1, 1), "", "the file is empty; see `labelstream project apply --help`"))
    return tree
