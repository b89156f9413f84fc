"""How agreement is shown to people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from cli.output import table


def show_agreement(to: Console, document: Mapping[str, Any], names: Sequence[str]) -> None:
    """Each measure with its interval, and how much it stands on."""
    rows = []
    for name in names:
        value, interval = document[name], document["intervals"][name]
        shown = "undefined" if value is None else f"{value:.3f}"
        rows.append(
            (name.replace("_", " "), shown, "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}")
        )
    to.print(table(("measure", "value", "95 %"), rows))
    to.print(
        f"\n{document['answers']:,} answers by {document['workers']:,} workers to {document['tasks']:,} tasks,"
        f" {document['tasks_with_two']:,} of them with two or more",
        markup=False,
    )
