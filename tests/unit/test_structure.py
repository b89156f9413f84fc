"""The shape of the repository: sizes, names, imports, documents that are true."""

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from cli.__main__ import ENTRIES, build
from shared.topics import SERVICES, TOPICS

REPOSITORY = Path(__file__).parents[2]
MAX_LINES = 400
MAX_STATEMENTS = 30
CODE = ("cli", "services", "shared")
SQL = re.compile(r"^\s*(?:WITH|SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER)\s", re.DOTALL)
CHECKED = re.compile(r"<!-- checked -->\n```console\n(?P<block>.*?)```", re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?P<target>[^)\s]+)\)")


def tracked(*suffixes: str) -> list[Path]:
    """The files that git would commit, so that caches and environments do not count."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607  # git of the developer
        cwd=REPOSITORY, check=True, capture_output=True, text=True,
    )  # fmt: skip
    names = (line for line in listed.stdout.splitlines() if line.endswith(suffixes or ("",)))
    return [path for name in names if (path := REPOSITORY / name).is_file()]


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def sources() -> list[Path]:
    """Our code, without the tests."""
    return [path for path in tracked(".py") if name(path).split("/")[0] in CODE]


def texts(tree: ast.AST) -> Iterator[ast.Constant]:
    """Every text in the code, docstrings apart."""
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            yield node


def test_files_are_short() -> None:
    long = {name(path): count for path in tracked(".py") if (count := len(path.read_text().splitlines())) > MAX_LINES}
    assert not long, f"more than {MAX_LINES} lines; split by what changes together"


def test_functions_are_short() -> None:
    """Ruff counts the statements; nothing may switch that off."""
    lint = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert lint["pylint"]["max-statements"] == MAX_STATEMENTS
    ignored = [*lint["ignore"], *(rule for rules in lint["per-file-ignores"].values() for rule in rules)]
    assert "ALL" in lint["select"]
    assert not {"PL", "PLR", "PLR0915"} & set(ignored)
    exempt = [name(path) for path in tracked(".py") if re.search(r"noqa:.*PLR0915", path.read_text())]
    assert exempt in ([], ["tests/unit/test_structure.py"])


def test_topic_names_stand_in_the_topics_table_only() -> None:
    known = {each for topic in TOPICS for each in (topic.name, topic.dlq)}
    found = [
        f"{name(path)}:{text.lineno} {text.value!r}"
        for path in sources()
        if name(path) != "shared/topics.py"
        for text in texts(ast.parse(path.read_text()))
        if text.value in known
    ]
    assert not found, "use the row of shared/topics.py"


def test_sql_stands_in_stores_only() -> None:
    found = [
        f"{name(path)}:{text.lineno}"
        for path in sources()
        if name(path).startswith("services/") and not re.search(r"/store(?:/|\.py$)", name(path))
        for text in texts(ast.parse(path.read_text()))
        if isinstance(text.value, str) and SQL.match(text.value)
    ]
    assert not found, "SQL belongs to the service's store"


def test_only_the_command_line_prints() -> None:
    found = [
        f"{name(path)}:{node.lineno}"
        for path in sources()
        if name(path) != "cli/output.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "breakpoint"}
    ]
    assert not found, "use structlog, or cli.output in a command"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_introduces_itself(service: str) -> None:
    card = ast.get_docstring(ast.parse((REPOSITORY / "services" / service / "__init__.py").read_text())) or ""
    for word in ("reads", "writes", "owns"):
        assert word in card.lower(), f"services/{service}/__init__.py says what it {word}"


@pytest.mark.timeout(120)
def test_imports_keep_their_layers() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run(  # noqa: S603  # our own tool
        [str(lint), "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-4000:]


def test_lock_files_pin_by_hash_and_name_no_host() -> None:
    locks = [REPOSITORY / "requirements.lock", *sorted((REPOSITORY / "requirements").glob("*.lock"))]
    assert {path.stem for path in locks} >= set(SERVICES)
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text, f"{lock.name} names a host"
        assert "--index-url" not in text
        logical = text.replace("\\\n", " ").splitlines()
        pins = [line for line in logical if line.strip() and not line.lstrip().startswith("#")]
        assert pins
        assert all("==" in pin and "--hash=sha256:" in pin for pin in pins), f"{lock.name}: a pin has no hash"


def test_no_file_names_a_machine() -> None:
    machine = re.compile(r"/(?:work|root|Users)/[\w.]+/")
    found = [
        name(path)
        for path in tracked(".py", ".md", ".toml", ".yaml", ".yml", ".json", ".sql", ".lock", "Dockerfile", "Makefile")
        if machine.search(path.read_text())
    ]
    assert not found, "paths of one machine"


def documents() -> list[Path]:
    return tracked(".md")


def test_links_of_the_documents_resolve() -> None:
    broken = []
    for page in documents():
        for match in LINK.finditer(page.read_text()):
            target, _, anchor = match["target"].partition("#")
            if "://" in target or target.startswith("mailto:"):
                continue
            place = (page.parent / target).resolve() if target else page
            if not place.exists() or (anchor and place.suffix == ".md" and anchor not in anchors(place)):
                broken.append(f"{name(page)}: {match['target']}")
    assert not broken


def anchors(page: Path) -> set[str]:
    """The headings of a page as the usual renderers link them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def checked_commands() -> list[tuple[str, str]]:
    """The commands of every console block that is marked as checked."""
    return [
        (name(page), line.removeprefix("$ "))
        for page in documents()
        for match in CHECKED.finditer(page.read_text())
        for line in match["block"].splitlines()
        if line.startswith("$ ")
    ]


def mentioned_commands() -> list[tuple[str, str]]:
    """Every `labelstream ...` of the documents, up to the first thing that is not the name of a command."""
    names = re.compile(r"(?:`|\$ )labelstream ((?:[a-z]+ ?)+)")
    found = {
        (name(page), match[1].strip())
        for page in documents()
        if name(page).split("/")[0] in {"README.md", "CONTRIBUTING.md", "docs"}
        for match in names.finditer(page.read_text())
    }
    return sorted(found)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("page", "words"), mentioned_commands())
def test_commands_that_the_documents_name_exist(page: str, words: str) -> None:
    first, *rest = words.split()
    assert first in {entry.name for entry in ENTRIES}, f"{page}: there is no `labelstream {first}`"
    if not rest:
        return
    command: Any = get_command(build([first]))
    for word in (first, *rest):
        inner = getattr(command, "commands", None)
        if inner is None:
            break  # from here on it is an argument
        assert word in inner, f"{page}: there is no `labelstream {words}`"
        command = inner[word]
    assert len(mentioned_commands()) >= 8


def test_the_documents_hold_checked_commands() -> None:
    assert len(checked_commands()) >= 3


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("page", "command"), checked_commands())
def test_commands_of_the_documents_work(page: str, command: str, tmp_path: Path) -> None:
    """They need no running stack; those that do are run by the end-to-end tests."""
    program, *arguments = shlex.split(command)
    assert program == "labelstream", f"{page}: only labelstream commands can be checked"
    clean = {key: value for key, value in os.environ.items() if not key.startswith("LABELSTREAM_")}
    places = [str(REPOSITORY / each) if (REPOSITORY / each).is_file() else each for each in arguments]
    ran = subprocess.run(  # noqa: S603  # commands of our own documents
        [sys.executable, "-m", "cli", *places],
        cwd=tmp_path, env=clean | {"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, f"{page}: {command}\n{ran.stdout}{ran.stderr}"
