"""`python -m cli.docs`: write the generated files; `--check` only says which are stale."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from cli.docs import dashboards, flow, kubernetes, objectives, schemas, services, settings
from cli.docs.compatibility import breaks

REPOSITORY = Path(__file__).parents[2]

PARTS: dict[str, Callable[[], dict[Path, str]]] = {
    "schemas": schemas.schemas,
    "flow": lambda: {flow.PATH: flow.page()},
    "settings": lambda: {settings.PATH: settings.page()},
    "services": services.pages,
    "dashboards": dashboards.boards,
    "objectives": objectives.pages,
    "kubernetes": kubernetes.pages,
}


def stale(repository: Path, pages: dict[Path, str]) -> list[Path]:
    """The files that are missing or differ from what would be written now."""
    return [
        path
        for path, text in pages.items()
        if not (repository / path).exists() or (repository / path).read_text() != text
    ]


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 when a change would break the contract, or with --check when a file is stale."""
    parser = argparse.ArgumentParser(prog="python -m cli.docs", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all of them by default")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    parser.add_argument(
        "--unreleased", action="store_true", help="write a breaking schema: only for an event that was never released"
    )
    options = parser.parse_args(arguments)
    wanted = options.parts or list(PARTS)
    if not set(wanted) <= set(PARTS):
        parser.error(f"the parts are {', '.join(PARTS)}")
    if "schemas" in wanted:
        found = sorted(schemas.changes(REPOSITORY))
        sys.stdout.write("".join(f"{change}\n" for change in found))
        if breaks(found) and not options.unreleased:
            sys.stdout.write("A break needs a new topic version (.v2); nothing was written.\n")
            return 1
    pages = {path: text for part in wanted for path, text in PARTS[part]().items()}
    old = stale(REPOSITORY, pages)
    for path in old:
        sys.stdout.write(f"{'stale' if options.check else 'written'}: {path}\n")
        if not options.check:
            (REPOSITORY / path).parent.mkdir(parents=True, exist_ok=True)
            (REPOSITORY / path).write_text(pages[path])
    return 1 if options.check and old else 0


if __name__ == "__main__":
    sys.exit(main())
