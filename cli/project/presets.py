"""Presets: policies to begin with, each a YAML file in `presets/`, and what a project file makes of them.

A preset is no other mechanism: `policy: {preset: ai_assisted, overlap: {max: 5}}` becomes an ordinary policy when the
file is read, and that is what is published.
"""

import difflib
from functools import cache
from pathlib import Path as FilePath
from typing import Any

import yaml

from cli.project.yamltree import Mistake, Plain, Tree, dotted
from shared.events.policies import PROJECT_WIDE, Policy

FILES = FilePath(__file__).parent / "presets"


@cache
def names() -> tuple[str, ...]:
    """Of all presets."""
    return tuple(sorted(file.stem for file in FILES.glob("*.yaml")))


def text_of(name: str) -> str:
    """A preset's file as it is."""
    return (FILES / f"{name}.yaml").read_text(encoding="utf-8")


def about(name: str) -> str:
    """The comment at its head, as one line."""
    head = [line for line in text_of(name).splitlines() if line.startswith("#")]
    return " ".join(line.lstrip("# ") for line in head)


@cache
def _values(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(text_of(name))["policy"]
    return read


def policy_of(name: str, **overrides: Any) -> Policy:
    """The policy of a preset, with a project file's overrides.

    Raises:
        KeyError: there is no such preset.
    """
    if name not in names():
        raise KeyError(name)
    return Policy.model_validate(_over(_values(name) | {"preset": name}, overrides), extra="forbid")


def expand(tree: Tree) -> tuple[Plain, list[Mistake]]:
    """A project file's values with its presets filled in, and presets that there are not.

    A slice has what the project's policy says, what its own preset says instead (but for what is of the whole project),
    and what it says itself. What is not as it should be is left for validation to find.
    """
    data = tree.data
    if not isinstance(data, dict):
        return data, []
    wrong: list[Mistake] = []
    base = _filled(tree, data.get("policy"), ("policy",), {}, wrong)
    found = dict(data) if base is None else data | {"policy": base}
    slices = data.get("slices")
    if isinstance(slices, list):
        usual = base if isinstance(base, dict) else {}
        found["slices"] = [_slice(tree, one, number, usual, wrong) for number, one in enumerate(slices)]
    return found, wrong


def _slice(tree: Tree, one: Plain, number: int, usual: dict[str, Any], wrong: list[Mistake]) -> Plain:
    if not isinstance(one, dict) or not isinstance(one.get("policy"), dict):
        return one
    return one | {"policy": _filled(tree, one["policy"], ("slices", number, "policy"), usual, wrong)}


def _filled(
    tree: Tree, given: Plain, path: tuple[str | int, ...], usual: dict[str, Any], wrong: list[Mistake]
) -> Plain:
    if not isinstance(given, dict):
        return given
    values = {name: value for name, value in usual.items() if name != "preset"}
    preset = given.get("preset")
    if isinstance(preset, str) and preset in names():
        own = _values(preset) if path == ("policy",) else _for_slice(_values(preset), values)
        values |= own
    elif preset is not None:
        near = difflib.get_close_matches(str(preset), names(), n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names())}"
        here = (*path, "preset")
        wrong.append(Mistake(tree.place(here), dotted(here), f"there is no preset {preset!r}; {hint}"))
    return _over(values, given)


def _for_slice(preset: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    """What a slice may take from a preset; the method of consensus is the project's."""
    own = {name: value for name, value in preset.items() if name not in PROJECT_WIDE}
    before = usual.get("consensus")
    return own | {"consensus": _over(before if isinstance(before, dict) else {}, preset["consensus"])}


def _over(values: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """`given` laid over `values`, at every level; a null takes a section out."""
    merged = dict(values)
    for name, value in given.items():
        before = merged.get(name)
        merged[name] = _over(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged
