"""The proof, once everything is at rest: what the outside was promised is what topics and databases hold.

The audit proves the deployment against itself; the rest proves it against the ledger of the outside. Together they hold
the invariants I1 to I11; `INVARIANTS` says which part holds which.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cli.audit import Report, audit
from cli.audit.checks import CHECKS
from tests.e2e.world import against, state
from tests.e2e.world.finding import Finding
from tests.e2e.world.replay import replay
from tests.e2e.world.topics import Topics
from tests.e2e.world.world import Broken, World

TRIES = 4
AGAIN_S = 1.5
INVARIANTS = {
    "I1": "every acknowledged item is in exactly one state, under one label per version",
    "I2": "accepted answers are the annotations, each once, as they were given",
    "I3": "every counter is what its raw rows add up to",
    "I4": "no lease counts beyond its end, overlap is never exceeded, nobody answers twice",
    "I5": "nothing without a cause, nothing decided and not published",
    "I6": "every bad record is a dead letter, byte for byte, and no good one is",
    "I7": "every prediction is of one promoted model alone, one model is live",
    "I8": "offsets are behind what was done, and at the end at rest",
    "I9": "the topics, read into empty databases, give the same facts, and nothing is decided again",
    "I10": "the metrics are the ledger's totals, whatever was restarted in between",
    "I11": "the request log only grows, and holds every refusal that reached people",
}
LOST = frozenset({
    "lost_item", "lost_annotation", "submit_lost", "opinion_not_counted", "label_not_taken_in", "label_not_counted",
    "labelled_without_label", "missing_dead_letter", "item unknown", "answer not in topic", "poison without letter",
    "record not in topic", "decision not published", "not rebuilt", "offset skipped",
})  # fmt: skip
DOUBLED = frozenset({
    "answered_twice", "annotation_changed", "double_label", "opinion_counted_twice", "overlap_exceeded",
    "answer without receipt", "phantom_annotation", "phantom_opinion", "wrong_counter", "decided again",
})  # fmt: skip
"""Which checks say that something is missing, and which that something is there too often; see `Proof`."""
AT_REST = frozenset(check.name for check in CHECKS if check.at_rest)


@dataclass(frozen=True, slots=True)
class Proof:
    """What a run came to, proven or not."""

    report: Report
    findings: Sequence[Finding]
    items: int
    submits: int
    poison: int
    by_check: Counter[str]
    topics: Topics

    @property
    def lost(self) -> int:
        return sum(n for check, n in self.by_check.items() if check in LOST)

    @property
    def doubled(self) -> int:
        return sum(n for check, n in self.by_check.items() if check in DOUBLED)

    def story(self) -> str:
        """The checks that found something, and the first violation with its item's history."""
        first = self.findings[0]
        counts = ", ".join(f"{check} {n}" for check, n in sorted(self.by_check.items()))
        told = [f"{first.invariant} ({INVARIANTS[first.invariant]})", f"{first.check}: {first.detail}"]
        return "\n".join([f"violations: {counts}", *told, *(f"  {line}" for line in first.history)])


async def prove(world: World, *, replayed: bool = False) -> Proof:
    """Prove that every promise held.

    Args:
        world: at rest.
        replayed: prove I9 too; this ends the world's services.

    Raises:
        Broken: one did not; says which, with the item's history, the seed and the faults.
    """
    proof = await examine(world, replayed=replayed)
    if proof.findings:
        world.broken = True
        raise Broken(world.story(proof.story()))
    return proof


async def examine(world: World, *, replayed: bool = False) -> Proof:
    """As `prove`, and raises nothing."""
    report = await _audit(world)
    topics = await Topics.read(world.stack.kafka)
    found = [
        *(Finding("I1", "breach", what) for what in world.ledger.breaches),
        *(Finding("I2", "unsettled", f"{who} has no answer for {lease}") for lease, who in _unsettled(world)),
        *await against.compare(world, topics),
        *await state.at_rest(world, topics),
    ]
    if replayed:
        found += await replay(world, topics)
    counted = Counter(one.check for one in found) + Counter(report.by_check)
    audited = [Finding(v.invariant, v.check, v.detail, v.item, v.history) for v in report.found]
    findings = [*audited, *found]
    if findings and findings[0].item is not None and not findings[0].history:
        findings[0] = await _told(world, findings[0])
    lines = [f"{one.invariant} {one.check} {one.item or ''}: {one.detail}\n" for one in findings]
    (world.directory / "logs" / "violations.txt").write_text("".join(lines))
    items, poison = len(world.ledger.items()), len(world.ledger.poison())
    return Proof(report, findings, items, len(world.ledger.receipts), poison, counted, topics)


def _unsettled(world: World) -> list[tuple[object, str]]:
    return list(world.ledger.unsettled.items())


async def _told(world: World, first: Finding) -> Finding:
    """The finding with what is known of its item."""
    lines = [f"{name}: {value}" for name, value in (await world.history(first.item or "")).items()]
    return Finding(first.invariant, first.check, first.detail, first.item, lines)


async def _audit(world: World) -> Report:
    """Quality events come by the clock, so "read to the end" may need another look; nothing else gets one."""
    submitted = [one.annotation_id for one in world.ledger.receipts.values()]
    for _ in range(TRIES - 1):
        report = await audit(world.stack.kafka, world.stack.database_urls, at_rest=True, submitted=submitted)
        if not report.by_check or not report.by_check.keys() <= AT_REST:
            return report
        await asyncio.sleep(AGAIN_S)
    return await audit(world.stack.kafka, world.stack.database_urls, at_rest=True, submitted=submitted)
