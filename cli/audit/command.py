"""`labelstream audit`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli.audit.databases import DatabaseUrls
from cli.audit.report import Report
from cli.audit.run import LIMIT, audit
from cli.output import JsonFlag, Output, table
from cli.settings import checked, kafka_settings


def command(
    project: Annotated[str | None, typer.Option("--project", help="Only this project.")] = None,
    at_rest: Annotated[bool, typer.Option("--at-rest", help="Also prove that nothing is under way any more.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Violations of each check to print in full.")] = LIMIT,
    scratch: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Directory for the scratch file, 100 bytes a record."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Prove from databases and topics that nothing was lost or counted twice; exit code 1 if something was."""
    out = Output(as_json=as_json)
    urls = checked(DatabaseUrls).urls()
    with out.working("reading topics and databases"):
        report = asyncio.run(
            audit(kafka_settings(), urls, project=project, at_rest=at_rest, limit=limit, scratch=scratch)
        )
    out.result(report.document(), lambda console: render(report, console))
    if report.violations:
        raise typer.Exit(1)


def render(report: Report, to: Console) -> None:
    """The counts and each violation, for people."""
    names = ("labelled", "open", "sampled_out", "unlabelable", "unresolved", "dead_lettered")
    rows: list[tuple[str, int]] = [(name, getattr(report, name)) for name in names]
    rows += [
        ("items", report.items),
        ("erased", report.erased),
        ("duplicates", report.duplicates),
        ("opinions", report.opinions),
    ]
    rows += [(f"labelled, {path}", number) for path, number in report.by_path.items()]
    to.print(table(("items", "number"), rows))
    if report.not_provable:
        to.print(f"not provable any more, their oldest records have expired: {', '.join(report.not_provable)}")
    for one in report.found:
        to.print(f"\n{one.invariant} {one.check}: {one.project or ''} {one.item or ''}\n  {one.detail}", markup=False)
        for line in one.history:
            to.print(f"    {line}", markup=False)
    verdict = "no violation" if not report.violations else f"{report.violations:,} violations"
    to.print(f"\n{verdict} in {report.records:,} records", markup=False)
