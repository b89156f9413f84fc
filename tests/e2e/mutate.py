"""Mutations: `make mutate` takes one guarantee at a time out of a copy of the tree, and wants it noticed.

Each patch of `tests/e2e/mutations` is applied alone. A named test must fail, or else a chaos run; a mutation that both
let pass survives, and that is a failure. A patch that applies no more is to be made anew for the code as it is.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATCHES = Path(__file__).with_name("mutations")
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".labelstream", "build", "__pycache__", ".*_cache", ".hypothesis")
WITHIN_S = 420
CHAOS = ("-m", "tests.e2e.chaos", "--seconds", "20")
SAID = (
    re.compile(r"^(violations: .+)$", re.MULTILINE),
    re.compile(r"^E  +(\S*(?:Error|Broken|Timeout)\S* .+)$", re.MULTILINE),
)


@dataclass(frozen=True, slots=True)
class Mutation:
    """One guarantee that is taken out.

    Attributes:
        name: of its patch.
        lost: what the code no longer does.
        tests: that must fail; they are run first.
        chaos: arguments of the chaos run that must notice it.
    """

    name: str
    lost: str
    tests: Sequence[str]
    chaos: Sequence[str]

    @property
    def patch(self) -> Path:
        return PATCHES / f"{self.name}.patch"


MUTATIONS = (
    Mutation(
        "dedupe", "monitor counts an event that comes again once more",
        ["tests/integration/monitor/test_handlers.py::test_annotations_gold_and_shadow_count_once"],
        ["--seeds", "1", "--kinds", "swap"],
    ),
    Mutation(
        "commit-order", "offsets are stored before the effects of their batch",
        ["tests/integration/bus/test_cut_transactions.py"],
        ["--seeds", "1", "--kinds", "terminate", "--apart", "0.5-1.5"],
    ),
    Mutation(
        "outbox",
        "events are published inside the transaction that decides them",
        ["tests/integration/bus/test_transactional.py::test_what_cannot_commit_is_never_published"],
        ["--seeds", "1", "--kinds", "terminate", "--apart", "0.5-1.5"],
    ),
    Mutation(
        "tolerant-parser", "FastStream's own parser reads the records",
        ["tests/integration/bus/test_transactional.py::test_poison_among_good_records_goes_to_the_dead_letters_once"],
        ["--seeds", "1", "--kinds", "swap"],
    ),
    Mutation(
        "lease-fence", "an answer is taken after its lease has ended",
        ["tests/integration/assignment/test_leases.py::test_a_lease_that_ran_out_is_refused_and_the_item_goes_to_somebody_else"],
        ["--seeds", "1", "--kinds", "swap"],
    ),
    Mutation(
        "relay-order", "the relay publishes the newest rows of the outbox first",
        ["tests/integration/bus/test_relay.py"],
        ["--seeds", "1", "--kinds", "terminate", "broker"],
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What noticed a mutation, and the first line of what it said; `by` is empty where nothing did."""

    by: str
    said: str


def applies(mutation: Mutation, tree: Path = ROOT, *, check: bool = True) -> str:
    """Apply a patch, or only see whether it applies.

    Returns:
        What git says against it; empty if nothing.
    """
    command = ["git", "apply", *(["--check"] if check else []), str(mutation.patch)]
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    done = subprocess.run(  # noqa: S603  # our own arguments
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    return done.stderr if done.returncode else ""


def outcome(mutation: Mutation, *, with_chaos: bool) -> Outcome:
    """Apply it to a copy of the tree and see who notices.

    Raises:
        ValueError: the patch does not apply.
    """
    with tempfile.TemporaryDirectory(prefix="mutation-of-labelstream-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=NOT_COPIED)
        if against := applies(mutation, tree, check=False):
            raise ValueError(f"{mutation.patch.name} does not apply: {against}")
        found = [] if with_chaos else [_run(tree, ["-m", "pytest", "-xq", "-p", "no:cacheprovider", *mutation.tests])]
        if not any(found):
            found.append(_run(tree, [*CHAOS, *mutation.chaos]))
        by, said = next(((by, said) for by, said in found if by), ("", ""))
        return Outcome(by, said)


def _run(tree: Path, arguments: Sequence[str]) -> tuple[str, str]:
    """What failed and the first line of why; empty where nothing did."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LABELSTREAM_")}
    done = subprocess.run(  # noqa: S603  # our own arguments
        [sys.executable, *arguments], cwd=tree, env={**inherited, "PYTHONPATH": str(tree)}, capture_output=True,
        text=True, check=False, timeout=WITHIN_S,
    )  # fmt: skip
    if done.returncode == 0:
        return "", ""
    told = done.stdout + done.stderr
    said = next((found[1] for line in SAID if (found := line.search(told))), told.strip().splitlines()[-1])
    return arguments[-1] if arguments[1] == "pytest" else f"chaos {' '.join(arguments[4:])}", said


def _table(rows: Sequence[tuple[Mutation, Outcome]]) -> str:
    lines = [("mutation", "noticed by", "what was said")]
    lines += [(one.name, found.by or "nobody: it survives", found.said[:160]) for one, found in rows]
    widths = [max(len(line[place]) for line in lines) for place in range(2)]
    return "\n".join(f"{name:<{widths[0]}}  {by:<{widths[1]}}  {said}" for name, by, said in lines)


def main() -> int:
    """The command."""
    names = [one.name for one in MUTATIONS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which ones; all by default")
    parser.add_argument("--chaos", action="store_true", help="ask the chaos run only, not the named tests")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    rows = []
    for mutation in MUTATIONS:
        if not chosen.names or mutation.name in chosen.names:
            rows.append((mutation, outcome(mutation, with_chaos=chosen.chaos)))
            print(_table(rows[-1:]).partition("\n")[2], flush=True)  # noqa: T201
    print("\n" + _table(rows))  # noqa: T201
    return int(any(not found.by for _, found in rows))


if __name__ == "__main__":
    sys.exit(main())
