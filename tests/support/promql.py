"""PromQL as a tree: what an expression selects, and what stands around it."""

import re
from collections.abc import Iterator
from typing import Any

import promql_parser

VARIABLES = {"$__rate_interval": "1m", "$__interval": "1m", "$__range": "1h"}
VARIABLE = re.compile(r"\$\{?([a-z_]+)\}?")


def filled(expression: str, values: dict[str, str] | None = None) -> str:
    """The expression as Grafana sends it: intervals, and variables as `All` chooses them unless a value is given."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return VARIABLE.sub(lambda found: (values or {}).get(found[1], ".+"), expression)


def parsed(expression: str) -> Any:
    """The tree.

    Raises:
        ValueError: it is no PromQL.
    """
    return promql_parser.parse(filled(expression))


def nodes(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Every node with the nodes above it, the nearest last."""
    yield tree, above
    below = [getattr(tree, name, None) for name in ("expr", "lhs", "rhs", "vector_selector")]
    for child in [*below, *(getattr(tree, "args", None) or [])]:
        if child is not None and type(child).__module__.startswith("promql_parser"):
            yield from nodes(child, (*above, tree))


def selectors(expression: str) -> list[tuple[Any, tuple[Any, ...]]]:
    """Every selector of series, with what stands above it."""
    return [pair for pair in nodes(parsed(expression)) if isinstance(pair[0], promql_parser.VectorSelector)]


def matched(selector: Any) -> set[str]:
    """The labels that a selector names."""
    return {matcher.name for matcher in selector.matchers.matchers}
