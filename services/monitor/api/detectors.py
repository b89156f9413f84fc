"""The detectors of drift on the status page: what evidence they have gathered, also where nothing has alarmed."""

from services.monitor.api.drawing import Line, lines, scale
from services.monitor.api.elements import E, Element
from services.monitor.api.sections import section, table
from services.monitor.api.view import View
from services.monitor.api.wording import count, number, percent
from services.monitor.domain.drift.standing import DetectorState, Standing

LEARNING = "While a reference is learned, only large changes are found."


def detectors(view: View) -> Element | None:
    """Evidence over time and the detectors nearest to an alarm; nothing where drift is not watched."""
    about = view.watching
    if about.false_alarms is None:
        return None
    learning = about.counts.get(DetectorState.LEARNING.value, 0)
    note = (
        f"{count(sum(about.counts.values()))} detectors, {count(learning)} of them learning. While nothing changes, at"
        f" most {number(about.false_alarms)} false alarms per 100,000 events, all of them together."
    )
    past = [Line(signal.replace("_", " "), points) for signal, points in sorted(about.past.items())]
    rows = [
        (_name(one), one.state.value, scale(one.share), percent(one.share),
         f"{number(one.log_evidence)} of {number(one.log_limit)} nats", _reference(one))
        for one in about.surest
    ]  # fmt: skip
    headings = ("nearest to an alarm", "", "evidence", "", "", "reference")
    return section(
        "Evidence of drift",
        E("p", note, f" {LEARNING}" if learning else None, class_="note"),
        lines("Evidence of the surest detector of each signal; 1 is an alarm", past, least_top=1.0),
        table(headings, rows, none="No detector has seen anything yet."),
    )


def _name(one: Standing) -> str:
    about = one.signal.replace("_", " ")
    return f"{about}, {one.slice}" if one.slice else about


def _reference(one: Standing) -> str:
    return f"{count(min(one.learned, one.wanted))} of {count(one.wanted)} events"
