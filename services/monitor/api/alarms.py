"""Alarms about drift on the status page, with what they stand on."""

import math
from collections.abc import Sequence

from services.monitor.api.drawing import interval, rounded_up
from services.monitor.api.elements import E, Element
from services.monitor.api.sections import section, table
from services.monitor.api.view import View
from services.monitor.api.wording import clock, count, number, percent, points
from shared.events import DriftAlarm

CLASSES_AT_MOST = 8
SUSPECTS_AT_MOST = 5


def alarms(view: View) -> Element:
    """Open ones with their evidence, the others in a line each."""
    open_ones = [one for one in view.alarms if one.resolved_at is None]
    closed = [one for one in view.alarms if one.resolved_at is not None]
    shown = [_open(one) for one in open_ones] or [E("p", "No alarm is open.", class_="none")]
    past = [(one.state, name_of(one), clock(one.opened_at), clock(one.resolved_at)) for one in closed]
    ended = table(("ended", "about", "opened", "ended at"), past, none="") if past else None
    return section("Alarms", *shown, ended)


def name_of(alarm: DriftAlarm) -> str:
    about = alarm.subject.signal.replace("_", " ")
    return f"{about}, {alarm.subject.slice}" if alarm.subject.slice else about


def e_value(log_e: float) -> str:
    return f"{math.exp(log_e):,.0f}" if log_e < math.log(1e6) else f"10^{log_e / math.log(10):.0f}"


def _open(alarm: DriftAlarm) -> Element:
    effect, sure = alarm.effect, alarm.evidence
    facts: list[Sequence[str | Element]] = [
        ("evidence", f"e-value {e_value(sure.log_e)} against {count(sure.budget)}",
         f"at most {number(sure.expected_false_alarms)} false alarms per 100,000 events, all detectors together"),
        ("distance", number(effect.tvd), interval(effect.tvd, effect.low, effect.high, most=rounded_up(effect.high))),
        ("changed", clock(effect.changed_at or alarm.opened_at),
         f"between {clock(effect.changed_from)} and {clock(effect.changed_to)}" if effect.changed_from else ""),
        ("compared with", f"{count(alarm.reference.n)} events",
         f"model {alarm.reference.model_version or '-'}, guideline {alarm.reference.guideline_version}"),
    ]  # fmt: skip
    facts += _impact(alarm)
    return E(
        "article",
        E("h3", E("span", alarm.severity, class_=f"tag {alarm.severity}"), f" {name_of(alarm)}"),
        E("p", alarm.summary) if alarm.summary else None,
        table(("", "", ""), facts, none=""),
        E("div", _classes(alarm), _suspects(alarm), class_="charts"),
        E("p", "Look at: ", ", ".join(alarm.exemplars), class_="note") if alarm.exemplars else None,
        E("p", E("strong", "Do: "), alarm.action, f" ({alarm.runbook})" if alarm.runbook else "")
        if alarm.action
        else None,
        class_="alarm",
    )


def _impact(alarm: DriftAlarm) -> list[Sequence[str | Element]]:
    """What the change has cost so far, and what the change of the disagreement is made of."""
    facts: list[Sequence[str | Element]] = []
    known = alarm.impact
    if known is not None and known.affected is not None:
        facts.append(("items since", count(known.affected), f"{count(known.auto_accepted or 0)} of them alone"))
    if known is not None and known.accuracy_after is not None:
        since = f"before → since, {percent(known.accuracy_low)} to {percent(known.accuracy_high)}"
        facts.append(("right, by audits", f"{percent(known.accuracy_before)} → {percent(known.accuracy_after)}", since))
    if known is not None and known.cost is not None:
        between = "" if known.cost_high is None else f"{number(known.cost_low)} to {number(known.cost_high)}, "
        facts.append(("has cost", number(known.cost), f"{between}of wrong labels more among those without a person"))
    if alarm.mechanisms:
        whole = sum(one.contribution for one in alarm.mechanisms)
        parts = ", ".join(f"{one.name} {points(one.contribution)}" for one in alarm.mechanisms)
        facts.append(("disagreement", f"{points(whole)} points", f"of these {parts}"))
    return facts


def _classes(alarm: DriftAlarm) -> Element:
    most = max((max(-one.low, one.high) for one in alarm.effect.classes), default=1.0) or 1.0
    rows = [
        (one.symbol, f"{percent(one.before)} → {percent(one.after)}", points(one.delta),
         interval(one.delta, one.low, one.high, least=-most, most=most))
        for one in alarm.effect.classes[:CLASSES_AT_MOST]
    ]  # fmt: skip
    return table(("class", "before → now", "points", "95 %"), rows, none="No class moved by itself.")


def _suspects(alarm: DriftAlarm) -> Element:
    rows = [
        (f"{one.dimension.replace('_', ' ')} {one.value}".strip(), percent(one.score), one.explanation or one.signature)
        for one in alarm.suspects[:SUSPECTS_AT_MOST]
    ]
    return table(("suspect", "score", "why"), rows, none="No suspect yet.")
