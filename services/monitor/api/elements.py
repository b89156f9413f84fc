"""HTML and SVG as trees of elements: text is escaped when the tree is written, so no value can become markup."""

from typing import TypeAlias
from xml.etree import ElementTree as ET

Element: TypeAlias = ET.Element
Child: TypeAlias = Element | str | None


def E(tag: str, /, *children: Child, **attributes: str | float) -> Element:  # noqa: N802  # it reads as the tag
    """An element; `None` children are left out. In names of attributes a last `_` goes, another one is a hyphen."""
    named = {name.rstrip("_").replace("_", "-"): _text(value) for name, value in attributes.items()}
    element = ET.Element(tag, named)
    last: Element | None = None
    for child in children:
        if child is None:
            continue
        if not isinstance(child, str):
            element.append(child)
            last = child
        elif last is None:
            element.text = (element.text or "") + child
        else:
            last.tail = (last.tail or "") + child
    return element


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, int) else f"{value:.2f}"


def written(element: Element) -> str:
    """The markup of a tree."""
    return ET.tostring(element, encoding="unicode", method="html")
