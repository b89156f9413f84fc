"""`labelstream patterns`: which classes people confuse, and over which items they go wrong."""

import asyncio
from typing import Annotated, Any

import typer

from cli.annotator import Token, Url, address
from cli.api import Api
from cli.output import JsonFlag, Output, table


def command(
    *,
    project: Annotated[str, typer.Option("--project", "-p", help="The project's name.", show_default=False)],
    items: Annotated[bool, typer.Option("--items", help="Show items instead of pairs of classes.")] = False,
    url: Url = None,
    token: Token = None,
    as_json: JsonFlag = False,
) -> None:
    """Show which classes people confuse, with examples, and which items they get wrong. For the project's leads."""
    found = asyncio.run(_get(*address(url, token), project))
    shown = _items(found["items"]) if items else _pairs(found["pairs"])
    Output(as_json=as_json).result(found, lambda to: to.print(shown))


async def _get(url: str, token: str, project: str) -> dict[str, Any]:
    async with Api(url, token) as api:
        return await api.get(f"/v1/projects/{project}/patterns")


def _pairs(pairs: list[dict[str, Any]]) -> Any:
    rows = [
        (
            one["truth"],
            one["answered"],
            one["answers"],
            f"{one['share']:.1%} ({one['low']:.1%} to {one['high']:.1%})",
            ", ".join(one["examples"]),
        )
        for one in pairs
    ]
    return table(("true", "answered", "answers", "share (95 %)", "examples"), rows)


def _items(items: list[dict[str, Any]]) -> Any:
    rows = [
        (
            one["item_id"],
            "gold" if one["gold"] else "",
            one["truth"],
            one["answers"],
            ", ".join(f"{answered} {times}" for answered, times in one["wrong"].items()),
        )
        for one in items
    ]
    return table(("item", "", "true", "answers", "wrong"), rows)
