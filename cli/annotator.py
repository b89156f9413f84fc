"""`labelstream annotator`: people and their tokens, through the assignment service's API."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from cli.api import Api
from cli.output import JsonFlag, Output, fail, table
from cli.settings import ApiSettings, checked

app = typer.Typer(no_args_is_help=True)

PATH = "/v1/annotators"

Who = Annotated[str, typer.Argument(metavar="ID", help="The person's id.", show_default=False)]
Url = Annotated[
    str | None,
    typer.Option("--url", envvar="LABELSTREAM_URL", help="The assignment service; http://127.0.0.1:8002 by default."),
]
Token = Annotated[
    str | None,
    typer.Option("--token", envvar=["LABELSTREAM_TOKEN", "LABELSTREAM_ADMIN_TOKEN"], help="An administrator's token."),
]
Languages = Annotated[
    list[str] | None, typer.Option("--language", help="May be repeated; not said: asked in all languages.")
]
Groups = Annotated[list[str] | None, typer.Option("--group", help="To which they belong; may be repeated.")]
MaxOpen = Annotated[int | None, typer.Option(min=1, help="Leases that they may hold at once.")]
Daily = Annotated[int | None, typer.Option(min=0, help="The most answers in a day.")]
Project = Annotated[str | None, typer.Option("--project", "-p", help="Only there; everywhere by default.")]


@app.callback()
def _group() -> None:
    """People and their tokens."""


@app.command()
def add(
    *,
    who: Who,
    role: Annotated[
        Literal["annotator", "expert", "lead", "admin"], typer.Option(help="What they may do.")
    ] = "annotator",
    name: Annotated[str | None, typer.Option(help="Shown to people; the id by default.")] = None,
    project: Annotated[
        list[str] | None, typer.Option("--project", "-p", help="May be repeated; every project by default.")
    ] = None,
    language: Languages = None,
    group: Groups = None,
    max_open: MaxOpen = None,
    daily_answers: Daily = None,
    url: Url = None,
    token: Token = None,
    as_json: JsonFlag = False,
) -> None:
    """Add a person and print the token, which is shown this once."""
    profile = _profile(language, group, max_open, daily_answers)
    body = {"annotators": [{"id": who, "name": name, "role": role, "projects": project or None} | profile]}
    (added,) = _call(url, token, lambda api: api.post(PATH, body))["results"]
    if added["problem"] is not None:
        fail(f"{who}: {added['problem']['message']} {added['problem']['action']}")
    _show_token(Output(as_json=as_json), who, added["token"])


@app.command("profile")
def profile(
    *,
    who: Who,
    language: Languages = None,
    group: Groups = None,
    max_open: MaxOpen = None,
    daily_answers: Daily = None,
    url: Url = None,
    token: Token = None,
    as_json: JsonFlag = False,
) -> None:
    """Replace what a person can do and how much of it; what is not given is not said any more."""
    body = _profile(language, group, max_open, daily_answers)
    found = _call(url, token, lambda api: api.put(f"{_path(who)}/profile", body))
    shown = {name: found[name] for name in body if found[name] not in (None, [])}
    text = ", ".join(f"{name} {value}" for name, value in shown.items()) or "no profile"
    Output(as_json=as_json).result(found, lambda to: to.print(f"{who}: {text}", markup=False))


def _profile(
    languages: list[str] | None, groups: list[str] | None, max_open: int | None, daily_answers: int | None
) -> dict[str, Any]:
    return {
        "languages": languages or None, "groups": groups or None, "max_open": max_open, "daily_answers": daily_answers,
    }  # fmt: skip


@app.command("token")
def renew(who: Who, url: Url = None, token: Token = None, as_json: JsonFlag = False) -> None:
    """Give a person a new token; the old one stops working."""
    found = _call(url, token, lambda api: api.post(f"{_path(who)}/token", {}))
    _show_token(Output(as_json=as_json), who, found["token"])


@app.command("list")
def list_people(url: Url = None, token: Token = None, as_json: JsonFlag = False) -> None:
    """List people: role, projects, quarantines, when they were last seen."""
    people = asyncio.run(_all(*address(url, token)))
    rows = [
        (
            one["id"],
            one["role"],
            "all" if one["projects"] is None else ", ".join(one["projects"]),
            ", ".join(one["quarantined"]),
            one["last_seen_at"] or "never",
        )
        for one in people
    ]
    shown = table(("id", "role", "projects", "quarantined in", "last seen"), rows)
    Output(as_json=as_json).result({"annotators": people}, lambda to: to.print(shown))


@app.command("skills")
def skills(
    *,
    project: Annotated[str, typer.Option("--project", "-p", help="The project's name.", show_default=False)],
    confusions: Annotated[
        bool, typer.Option("--confusions", help="Show what each answered when what was true.")
    ] = False,
    url: Url = None,
    token: Token = None,
    as_json: JsonFlag = False,
) -> None:
    """Show how well people of a project answer: accuracy with its interval, speed, falls. For its leads."""
    people = asyncio.run(_all(*address(url, token), path=f"/v1/projects/{project}/people", name="people"))
    shown = _confusions(people) if confusions else _skills(people)
    Output(as_json=as_json).result({"people": people}, lambda to: to.print(shown))


@app.command()
def quarantine(
    *,
    who: Who,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    project: Project = None,
    url: Url = None,
    token: Token = None,
    as_json: JsonFlag = False,
) -> None:
    """Stop asking a person; what they hold they may finish."""
    _mark("quarantine", who, {"project": project, "reason": reason}, url=url, token=token, as_json=as_json)


@app.command()
def reinstate(
    *, who: Who, project: Project = None, url: Url = None, token: Token = None, as_json: JsonFlag = False
) -> None:
    """Ask a person again."""
    _mark("reinstate", who, {"project": project}, url=url, token=token, as_json=as_json)


def _mark(action: str, who: str, body: dict[str, Any], *, url: str | None, token: str | None, as_json: bool) -> None:
    found = _call(url, token, lambda api: api.post(f"{_path(who)}/{action}", body))
    places = "".join(f" {place}" for place in found["quarantined"]) or " nowhere"
    Output(as_json=as_json).result(found, lambda to: to.print(f"{who}: in quarantine in{places}", markup=False))


def _show_token(out: Output, who: str, token: str | None) -> None:
    out.note("The token is shown this once; only its hash is stored.")
    out.result({"id": who, "token": token}, lambda to: to.print(token, markup=False))


def _path(who: str) -> str:
    return f"{PATH}/{quote(who, safe='')}"


def address(url: str | None, token: str | None) -> tuple[str, str]:
    """Options first, then the environment of a running stack."""
    known = checked(ApiSettings)
    given = token or known.admin_token.get_secret_value()
    if not given:
        fail("an administrator's token is needed; give --token, or set LABELSTREAM_TOKEN")
    return url or known.url, given


def _call(url: str | None, token: str | None, call: Callable[[Api], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        async with Api(*address(url, token)) as api:
            return await call(api)

    return asyncio.run(run())


def _skills(people: list[dict[str, Any]]) -> Any:
    rows = []
    for one in people:
        skill, drift = one["skill"] or {}, one["drift"]
        speed = skill.get("speed") or {}
        rows.append(
            (
                one["id"],
                "yes" if one["may_work"] else "no",
                skill.get("judged", 0),
                f"{skill['accuracy']:.3f} ({skill['low']:.3f} to {skill['high']:.3f})" if skill else "",
                f"{skill['recent']:.3f}" if skill.get("recent") is not None else "",
                f"{speed['median_s']:.1f}" if speed else "",
                "" if drift is None else f"{drift['number']}: {drift['before']:.2f} -> {drift['recent']:.2f}",
                ", ".join(f"{rule['rule']} ({rule['action']})" for rule in one["rules"]),
            )
        )
    return table(("id", "may work", "judged", "accuracy (95 %)", "recent", "median s", "falls", "rules"), rows)


def _confusions(people: list[dict[str, Any]]) -> Any:
    cells = [(one["id"], cell) for one in people for cell in (one["skill"] or {}).get("confusion", ())]
    rows = [(who, cell["truth"], cell["answered"], cell["answers"]) for who, cell in cells]
    return table(("id", "truth", "answered", "answers"), rows)


async def _all(url: str, token: str, path: str = PATH, name: str = "annotators") -> list[dict[str, Any]]:
    people: list[dict[str, Any]] = []
    after = ""
    async with Api(url, token) as api:
        while True:
            page = await api.get(path, after=after)
            people += page[name]
            if page["next"] is None:
                return people
            after = page["next"]
