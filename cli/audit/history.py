"""What is known of one item, line by line, for whoever looks into a violation."""

from collections.abc import Iterator
from pathlib import Path

from cli.audit.ledger import Ledger

QUERY = Path(__file__).with_name("history.sql").read_text()


def history(ledger: Ledger, project: str, item: str, limit: int = 50) -> Iterator[str]:
    """Records and rows of one item, in the order of the flow; at most `limit`."""
    for (text,) in ledger.rows(QUERY, (project, item, limit)):
        yield text
