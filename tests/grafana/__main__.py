"""`python -m tests.grafana`: the dashboards against the schema of Grafana 11 that Grafana publishes for TypeScript.

Needs npm. Dashboards, rows, panels, variables, and the options and fields of each kind of panel are checked by the
TypeScript compiler as literals of their types: a wrong name is found as well as a wrong value. A query may be anything.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli.stack.paths import cache_root

REPOSITORY = Path(__file__).parents[2]
BOARDS = REPOSITORY / "deploy/grafana/dashboards"
SCHEMA, TYPESCRIPT = "@grafana/schema@11.6.0", "typescript@5.6.3"
TOOLS = cache_root() / "grafana"
RAW = "./node_modules/@grafana/schema/dist/esm/raw"
KINDS = {"timeseries": "TimeSeries", "stat": "Stat", "bargauge": "BarGauge"}
PLAIN = """
type Plain<T> = T extends string ? `${T}` : T extends number ? number : T extends boolean | null | undefined ? T
  : T extends Array<infer U> ? Array<Plain<U>> : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
"""
"""An enumeration's values are its texts in JSON."""
COMPILER = ("--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler")


def call(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own arguments
        command, cwd=TOOLS, capture_output=True, text=True, check=False, timeout=600
    )


def installed() -> None:
    """The published types and the compiler, once."""
    if (TOOLS / "node_modules/.bin/tsc").exists():
        return
    TOOLS.mkdir(parents=True, exist_ok=True)
    (TOOLS / "package.json").write_text('{"private": true}\n')
    done = call("npm", "install", "--no-audit", "--no-fund", "--save-exact", SCHEMA, TYPESCRIPT)
    if done.returncode != 0:
        sys.exit(f"npm install failed:\n{done.stderr[-2000:]}")


def literals(name: str, board: dict[str, Any]) -> Iterator[str]:
    """One declaration a line: the dashboard, then what its panels leave open."""
    yield f"export const {name}: Plain<Dashboard> = {json.dumps(board)};"
    for panel in board["panels"]:
        kind = KINDS.get(panel["type"])
        if kind is None:
            continue
        place = f"{name}_{panel['id']}"
        yield f"export const {place}: Plain<Partial<{kind}.Options>> = {json.dumps(panel.get('options', {}))};"
        fields = panel["fieldConfig"]["defaults"].get("custom")
        if fields is not None and kind == "TimeSeries":
            yield f"export const {place}_fields: Plain<{kind}.FieldConfig> = {json.dumps(fields)};"


def source(boards: dict[str, dict[str, Any]]) -> str:
    modules = [f"import type {{ Dashboard }} from '{RAW}/dashboard/x/dashboard_types.gen';"]
    modules += [
        f"import type * as {kind} from '{RAW}/composable/{name}/panelcfg/x/{kind}PanelCfg_types.gen';"
        for name, kind in KINDS.items()
    ]
    return "\n".join([*modules, PLAIN, *(line for name, one in boards.items() for line in literals(name, one))]) + "\n"


def problems(boards: dict[str, dict[str, Any]]) -> str:
    """What the compiler says; empty where all is well."""
    (TOOLS / "boards.ts").write_text(source(boards))
    return call("node_modules/.bin/tsc", *COMPILER, "boards.ts").stdout


def main() -> int:
    if shutil.which("npm") is None:
        sys.exit("npm was not found on PATH: install Node.js 18 or later")
    installed()
    boards = {path.stem: json.loads(path.read_text()) for path in sorted(BOARDS.glob("*.json"))}
    panels = sum(panel["type"] in KINDS for board in boards.values() for panel in board["panels"])
    said = problems(boards)
    sys.stdout.write("".join(f"{line[:400]}\n" for line in said.splitlines()))
    sys.stdout.write(f"{len(boards)} dashboards, {panels} panels: {'not ' if said else ''}valid by {SCHEMA}\n")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
