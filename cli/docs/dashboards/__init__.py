"""The Grafana dashboards that are made from code. Needs grafana-foundation-sdk, a developer's dependency."""

from pathlib import Path

from cli.docs.dashboards.boards import BOARDS
from cli.docs.dashboards.panels import built

ROOT = Path("deploy/grafana/dashboards")


def boards() -> dict[Path, str]:
    """Every generated dashboard, by its path in the repository."""
    return {ROOT / f"{board.uid.removeprefix('labelstream-')}.json": built(board) for board in BOARDS}
