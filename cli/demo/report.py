"""The final report: what each path cost, who answered how well, what was refused and why, and whether all is proven."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from cli.audit.report import Report
from cli.demo.people import PEOPLE
from cli.demo.setup import SPEC
from cli.demo.story import Told
from cli.dlq.letters import Letter
from cli.outcome import Run, document
from cli.output import table
from shared.topics import ITEMS

BASELINE = 3
"""Opinions each that plain majority voting would take."""


def summarise(told: Told, letters: Sequence[Letter], audit: Report) -> dict[str, Any]:
    """The one object that `demo --json` prints."""
    truth = {one.name: one.truth for one in told.digits.stream}
    run = Run(audit.document(), told.watch.ledger, truth, audit.violations, told.seconds)
    found = document(run)
    expected = Counter((one.record.topic, one.reason.value) for one in told.traffic.poison)
    got = Counter((letter.source.topic, letter.reason) for letter in letters)
    sent = len(told.digits.stream) + sum(one.record.topic == ITEMS.name for one in told.traffic.poison)
    models = told.watch.models()
    found |= {
        "sent": sent,
        "models": {version: models[version] for version in sorted(models)},
        "gold": {"answers": len(told.watch.gold), "right": sum(told.watch.gold.values())},
        "people": _people(told),
        "dead_letters": [{"topic": topic, "reason": why, "count": n} for (topic, why), n in sorted(got.items())],
        "baseline_cost": round(BASELINE * SPEC.cost.opinion * audit.labelled, 4),
        "violation_list": [f"{one.check}: {one.item or ''} {one.detail}" for one in audit.found],
    }
    found["problems"] = _problems(found, expected == got, told)
    return found


def _people(told: Told) -> list[dict[str, Any]]:
    """Everybody: what they are, and what was measured without knowing it."""
    given: Counter[str] = Counter()
    right: Counter[str] = Counter()
    truth = {one.name: one.truth for one in told.digits.stream}
    for label in told.watch.ledger.labels.values():
        for vote in label.evidence.votes:
            given[vote.annotator_id] += 1
            right[vote.annotator_id] += getattr(vote.value, "choice", "") == truth[label.item_id]
    people = []
    for person in PEOPLE:
        skill = told.watch.skills.get(person.name)
        people.append(
            {
                "name": person.name,
                "about": person.about,
                "opinions": given[person.name],
                "true_accuracy": round(right[person.name] / given[person.name], 4) if given[person.name] else None,
                "measured_accuracy": round(skill.accuracy, 4) if skill is not None else None,
                "quarantined": person.name in told.watch.quarantined,
            }
        )
    return people


def _problems(found: Mapping[str, Any], poison_as_expected: bool, told: Told) -> list[str]:
    """Why the demo is not a success; empty when it is."""
    problems = []
    if found["violations"]:
        problems.append(f"the audit found {found['violations']} violations")
    if found["open"]:
        problems.append(f"{found['open']} items are not at rest")
    if found["items"] != found["sent"]:
        problems.append(f"{found['sent']} items were sent, {found['items']} are accounted for")
    if found["duplicates"] != told.traffic.duplicates:
        problems.append(f"{told.traffic.duplicates} duplicates were sent, {found['duplicates']} were counted")
    if not poison_as_expected:
        problems.append("the dead letters are not the poison that was sent, with the reasons it must get")
    return problems


def show(to: Console, found: Mapping[str, Any]) -> None:
    """The report for a person."""
    currency = SPEC.cost.currency
    rows = [
        (path, one["labels"], _each(one["opinions"], one["labels"]), one["cost"], _percent(one["accuracy"]))
        for path, one in found["paths"].items()
        if one["labels"]
    ]
    to.print(table(("path", "labels", "opinions each", f"cost {currency}", "accuracy"), rows))
    to.print()
    to.print(
        f"{found['items']:,} items: {found['labelled']:,} labelled, {found['dead_lettered']} dead-lettered, "
        f"{found['unresolved'] + found['unlabelable'] + found['sampled_out']} closed without a label, "
        f"{found['open']} open; {found['duplicates']} duplicates absorbed",
        markup=False,
    )
    to.print(
        f"accuracy {_percent(found['accuracy'])} with {found['opinions_per_label']:.2f} opinions per label "
        f"({found['opinions']:,} opinions, {found['gold']['answers']} more on gold)",
        markup=False,
    )
    saved = found["baseline_cost"] - found["cost"]
    share = saved / found["baseline_cost"] if found["baseline_cost"] else 0.0
    to.print(
        f"cost {found['cost']:.2f} {currency}; {BASELINE} opinions each would cost {found['baseline_cost']:.2f}: "
        f"saved {saved:.2f} ({share:.0%})",
        markup=False,
    )
    served = ", ".join(f"{version}: {number:,}" for version, number in found["models"].items())
    to.print(f"predictions in force by model: {served}\n", markup=False)
    _show_people(to, found["people"])
    letters = [(one["topic"], one["reason"], one["count"]) for one in found["dead_letters"]]
    to.print(table(("dead letters of", "reason", "records"), letters))
    to.print(f"\n{found['seconds']:.1f} s from the first item to rest, {found['items_per_second']:.0f} items/s")
    verdict = "audit: nothing lost, nothing counted twice" if not found["violations"] else "audit: VIOLATIONS"
    to.print(verdict, style="green" if not found["violations"] else "red")
    for line in [*found["violation_list"], *found["problems"]]:
        to.print(f"  {line}", style="red", markup=False)


def _show_people(to: Console, people: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (
            one["name"],
            one["about"],
            one["opinions"],
            _percent(one["measured_accuracy"]),
            _percent(one["true_accuracy"]),
            "quarantined" if one["quarantined"] else "",
        )
        for one in people
    ]
    to.print(table(("who", "is", "opinions used", "measured", "in truth", ""), rows))
    to.print()


def _each(opinions: int, labels: int) -> str:
    return f"{opinions / labels:.2f}" if labels else ""


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
