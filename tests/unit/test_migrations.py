"""Migrations expand first and contract a release later, so that two versions can run side by side."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.support.expand import locks, problems, refusals

REPOSITORY = Path(__file__).parents[2]
MIGRATIONS = sorted(
    path
    for pattern in ("services/*/migrations", "shared/db/migrations")
    for path in REPOSITORY.glob(f"{pattern}/*.sql")
)
CURRENT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
RELEASED = re.findall(r"^## (\d+\.\d+\.\d+)(?!.*unreleased)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)

FIRST_RELEASE: frozenset[str] = frozenset()
"""Names of the files of the first release, as `service/0010_name.sql`; until then all are."""


def label(path: Path) -> str:
    return f"{path.parent.parent.name}/{path.name}"


def test_the_version_before_can_run_on_every_schema() -> None:
    assert len(MIGRATIONS) >= 4
    later = [path for path in MIGRATIONS if not path.name.startswith("0001_")]  # the first one of each makes everything
    wrong = {
        label(path): found
        for path in later
        if (found := refusals(path, [version for version in RELEASED if version != CURRENT], CURRENT))
    }
    assert not wrong


def test_a_migration_holds_nobody_up() -> None:
    """Before the first release every file is applied to empty tables."""
    later = [path for path in MIGRATIONS if RELEASED and label(path) not in FIRST_RELEASE]
    wrong = {label(path): found for path in later if (found := locks(path.read_text()))}
    assert not wrong


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE items",
        "DROP INDEX items_waiting",
        "ALTER TABLE items DROP COLUMN guess",
        "ALTER TABLE items RENAME COLUMN guess TO proposal",
        "ALTER TABLE items RENAME TO things",
        "ALTER TABLE items ALTER COLUMN round TYPE integer",
        "ALTER TABLE items ALTER round SET DATA TYPE integer",
        "ALTER TABLE items ALTER COLUMN guess SET NOT NULL",
        "ALTER TABLE items ALTER COLUMN round DROP DEFAULT",
        "ALTER TABLE items ADD COLUMN owner text NOT NULL",
        "ALTER TABLE items ADD COLUMN note text, ADD owner text NOT NULL",
        "ALTER TABLE items ADD CONSTRAINT positive CHECK (round > 0)",
        "ALTER TABLE items ADD UNIQUE (content_hash)",
        "CREATE UNIQUE INDEX items_once ON items (content_hash)",
        "-- harmless\nCREATE TABLE t (id int); /* and */ TRUNCATE items",
        "DELETE FROM tallies WHERE delta = 0",
    ],
)
def test_what_would_harm_the_version_before_is_refused(sql: str) -> None:
    assert problems(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t (id bigint PRIMARY KEY, owner text NOT NULL); CREATE UNIQUE INDEX t_owner ON t (owner)",
        "CREATE TABLE t (id bigint); ALTER TABLE t ADD COLUMN owner text NOT NULL",
        "ALTER TABLE items ADD COLUMN note text; CREATE INDEX IF NOT EXISTS a ON items (note)",
        "ALTER TABLE items ADD COLUMN weight numeric(10, 2) NOT NULL DEFAULT 1, ADD COLUMN note text",
        "ALTER TABLE items ADD COLUMN twice int NOT NULL GENERATED ALWAYS AS (round * 2) STORED",
        "ALTER TABLE items ALTER COLUMN guess DROP NOT NULL",
        "ALTER TABLE items SET (fillfactor = 70)",
        "CREATE INDEX IF NOT EXISTS items_note ON items (note) WHERE note IS NOT NULL; -- DROP it later",
        "COMMENT ON TABLE items IS 'DROP; RENAME'",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM t; END $$",
    ],
)
def test_what_expands_is_allowed(sql: str) -> None:
    assert problems(sql) == []


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE items ADD COLUMN note text; ALTER TABLE rounds ADD COLUMN note text",
        "CREATE INDEX IF NOT EXISTS a ON items (note); CREATE INDEX IF NOT EXISTS b ON rounds (note)",
        "CREATE INDEX a ON items (note)",
    ],
)
def test_what_would_hold_up_the_services_is_found(sql: str) -> None:
    assert locks(sql)
    assert locks("CREATE TABLE t (id int); CREATE INDEX a ON t (id); ALTER TABLE items ADD COLUMN note text") == []


def test_a_contraction_names_the_release_since_which_nobody_uses_it(tmp_path: Path) -> None:
    path = tmp_path / "0003_contract_items.sql"
    path.write_text("ALTER TABLE items DROP COLUMN guess;")
    assert refusals(path, ["0.2.0"], "0.3.0")
    path.write_text("-- contract: unused since 0.3.0\nALTER TABLE items DROP COLUMN guess;")
    assert refusals(path, ["0.2.0"], "0.3.0")
    path.write_text("-- contract: unused since 0.2.0\nALTER TABLE items DROP COLUMN guess;")
    assert refusals(path, ["0.2.0"], "0.3.0") == []
    expand = tmp_path / "0003_items.sql"
    expand.write_text("ALTER TABLE items DROP COLUMN guess;")
    assert refusals(expand, ["0.2.0"], "0.3.0")
