"""Whether a migration lets the version before it run on: expand in one release, contract in a later one."""

import re
from collections.abc import Iterator
from pathlib import Path

CONTRACT = re.compile(r"^\d{4}_contract_")
SINCE = re.compile(r"\A-- contract: unused since (?P<version>\d+\.\d+\.\d+)\b")
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_CREATED = re.compile(r"\bCREATE TABLE (?:IF NOT EXISTS )?(\w+)", re.IGNORECASE)
_ALTERED = re.compile(r"^ALTER TABLE (?:IF EXISTS )?(?:ONLY )?(\w+)\s*(.*)$", re.IGNORECASE | re.DOTALL)
_ON = re.compile(r"^CREATE (?:UNIQUE )?(?:INDEX|TRIGGER)\b.*?\bON (?:ONLY )?(\w+)", re.IGNORECASE | re.DOTALL)

STATEMENTS = {
    r"^CREATE UNIQUE INDEX": "the version before may write what it refuses",
    r"^DROP\b": "the version before may still use it",
    r"^(TRUNCATE|DELETE)\b": "the version before may still read it",
    r"^ALTER (?!TABLE\b).*\bRENAME\b": "the version before knows the old name",
}
ACTIONS = {
    r"^RENAME\b": "the version before knows the old name",
    r"^DROP (?!NOT NULL)": "the version before may still use it",
    r"^ALTER (COLUMN )?\w+ (SET DATA )?TYPE\b": "the version before reads and writes the old type; add a column",
    r"^ALTER (COLUMN )?\w+ SET NOT NULL": "the version before may still write null",
    r"^ALTER (COLUMN )?\w+ DROP DEFAULT": "the version before does not write the column",
    r"^ADD (CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE)\b": "the version before may break it",
    r"^ADD (COLUMN )?(?!.*\b(DEFAULT|GENERATED)\b).*\bNOT NULL\b": "the version before does not write it",
}


def problems(sql: str) -> list[str]:
    """What in an expand migration would harm the version before it; empty if nothing does."""
    text = _COMMENT.sub(" ", sql)
    created = {name.lower() for name in _CREATED.findall(text)}
    return [
        f"{' '.join(statement.split())[:100]}: {why}"
        for statement in _statements(text)
        for why in _harm(statement, created)
    ]


def locks(sql: str) -> list[str]:
    """What in a migration would hold up the services while it runs on tables that are large and busy."""
    text = _COMMENT.sub(" ", sql)
    created = {name.lower() for name in _CREATED.findall(text)}
    found = [
        f"{' '.join(one.split())[:100]}: writers wait for it; IF NOT EXISTS, so that it can be built before"
        for one in _statements(text)
        if re.match(r"CREATE INDEX (?!IF NOT EXISTS)", one, re.IGNORECASE) and not created.intersection(_locked(one))
    ]
    changed = {table for one in _statements(text) for table in _locked(one)} - created
    if len(changed) > 1:
        found.append(f"locks {', '.join(sorted(changed))}, and deadlocks with a batch that does: give each a file")
    return found


def _statements(text: str) -> Iterator[str]:
    """Split at semicolons outside of $$ bodies and quotes."""
    for part in re.findall(r"(?:\$\$.*?\$\$|'(?:[^']|'')*'|[^;$']|\$(?!\$))+", text, re.DOTALL):
        if part.strip():
            yield part.strip()


def _locked(statement: str) -> Iterator[str]:
    """The tables that a statement locks against writers."""
    for pattern in (_ALTERED, _ON):
        if (found := pattern.match(statement)) is not None:
            yield found[1].lower()


def _harm(statement: str, created: set[str]) -> Iterator[str]:
    if created.intersection(_locked(statement)):
        return
    yield from (why for pattern, why in STATEMENTS.items() if re.search(pattern, statement, re.IGNORECASE | re.DOTALL))
    altered = _ALTERED.match(statement)
    for action in re.split(r",(?![^(]*\))", altered[2]) if altered is not None else ():
        yield from (why for pattern, why in ACTIONS.items() if re.search(pattern, action.strip(), re.IGNORECASE))


def refusals(path: Path, released: list[str], current: str) -> list[str]:
    """What is wrong with a migration file.

    Args:
        path: the file.
        released: versions before the current one.
        current: the version that the file is going into.
    """
    sql = path.read_text()
    if not CONTRACT.match(path.name):
        found = problems(sql)
        return [*found, "name it NNNN_contract_... one release after the last use is gone"] if found else []
    since = SINCE.match(sql)
    if since is None:
        return ["its first line is not `-- contract: unused since X.Y.Z`"]
    if since["version"] not in released or since["version"] == current:
        return [f"{since['version']} is not a released version: contract one release after the expansion"]
    return []
