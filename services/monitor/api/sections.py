"""The sections of the status page."""

from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

from services.monitor.api.drawing import Line, Stage, flow, interval, lines, mixes, rounded_up
from services.monitor.api.elements import Child, E, Element
from services.monitor.api.view import View
from services.monitor.api.wording import NONE, clock, count, duration, number, percent, rate
from services.monitor.domain.facts import State
from services.monitor.domain.figures import Right, worst_classes
from services.monitor.domain.history import STREAMS
from shared.events import Accuracy, CertificateTerms, Path

LABELS_AT_MOST = 10
BASES = {"audit": "blind audits", "sample": "labels", "gold": "gold answers", "expert": "labels that experts judged"}
BEHIND_S = 60.0


def section(title: str, *children: Child) -> Element:
    return E("section", E("h2", title), *children)


def table(headings: Sequence[str], rows: Iterable[Sequence[Child]], *, none: str) -> Element:
    """A table, or what it means that there is nothing in it."""
    body = [E("tr", *(E("td", cell) for cell in row)) for row in rows]
    if not body:
        return E("p", none, class_="none")
    head = E("tr", *(E("th", heading, scope="col") for heading in headings))
    return E("div", E("table", E("thead", head), E("tbody", *body)), class_="wide")


def the_flow(view: View) -> Element:
    """Boxes with live rates and what waits before each, and the rates of the last minutes."""
    states, now = view.overview.states, view.rates.now

    def waiting(*names: State) -> int:
        return sum(states.get(name.value, 0) for name in names)

    people = waiting(State.QUEUED)
    blocked = waiting(State.BLOCKED)
    stages = (
        Stage("items", rate(now["items"]), f"{count(sum(states.values()))} in all"),
        _stage("prelabel", rate(now["predictions"]), waiting(State.AWAITING_PREDICTION)),
        _stage("assignment", f"{percent(_auto_share(view))} alone", waiting(State.AWAITING_ROUTE)),
        Stage("people", rate(now["answers"]), f"{count(people + blocked)} wait", busy=blocked > 0),
        Stage("labels", rate(now["labels"]), f"{count(states.get(State.LABELLED.value, 0))} labelled"),
    )
    past = [Line(stream, view.rates.past[stream]) for stream in STREAMS]
    by_path = [Line(path.value, view.rates.past[f"labels/{path.value}"]) for path in Path]
    charts = E("div", lines("Per second", past), lines("Labels per second by path", by_path), class_="charts")
    return section("Flow", E("div", flow(stages), class_="wide"), charts, _states(view), _lags(view))


def _stage(name: str, passing: str, waiting: int) -> Stage:
    return Stage(name, passing, f"{count(waiting)} wait", busy=waiting > 0)


def _auto_share(view: View) -> float | None:
    labels = {one.path: one.labels for one in view.overview.paths}
    return labels[Path.AUTO.value] / sum(labels.values()) if sum(labels.values()) else None


def _states(view: View) -> Element:
    shown = [(name.replace("_", " "), n) for name, n in view.overview.states.items() if n]
    return E("p", *(E("span", f"{count(n)} {name}", class_="chip") for name, n in shown), class_="chips")


def _lags(view: View) -> Element:
    """How far monitor itself is behind; the lag of the others is what waits before them."""
    late = [one for one in view.lags if one.records]
    if not late:
        return E("p", "monitor has read every topic to its end.", class_="none")
    rows = [(one.topic, count(one.records), duration(one.oldest_s)) for one in late]
    kind = "late" if max(one.oldest_s for one in late) > BEHIND_S else "soft"
    return E("div", table(("monitor has still to read", "records", "the oldest of them"), rows, none=""), class_=kind)


def classes(view: View) -> Element:
    charts = []
    for of, about in (("predictions", "Predicted classes"), ("labels", "Classes of labels")):
        mix = view.overview.mixes[of]
        moved = "" if mix.distance is None else f", distance {number(mix.distance)}"
        charts.append(mixes(f"{about}: {count(mix.now)} now, {count(mix.before)} in the day before{moved}", mix))
    note = "Bars: the last window. Marks: the day before it. Differences in points."
    return section("Class mix against reference", E("p", note, class_="note"), E("div", *charts, class_="charts"))


def quality(view: View) -> Element:
    """What labels cost by path; how audits, gold, agreement and the certificate stand."""
    right = view.overview.figures.paths()
    rows = [
        (one.path, count(one.labels), number(one.opinions), number(one.cost), *_right(right.get(one.path)))
        for one in view.overview.paths
        if one.labels
    ]
    headings = ("path", "labels", "opinions each", "cost each", "accuracy", "95 %", "by")
    paths = table(headings, rows, none="No labels yet.")
    return section("Quality by path", paths, _models(view), _measured(view), _ambiguous(view))


def _right(known: Right | Accuracy | None) -> Sequence[Child]:
    """Accuracy, its interval, and what it stands on."""
    if known is None:
        return (NONE, "", "")
    shown = _between(known.accuracy, known.low, known.high)
    estimate = "" if known.estimate is None else f"; mean confidence {percent(known.estimate)}"
    return (percent(known.accuracy), shown, f"{count(known.labels)} {BASES[known.basis]}{estimate}")


def _between(rate: float, low: float, high: float) -> Element:
    return E("span", interval(rate, low, high), f"{percent(low)} to {percent(high)}", class_="ends")


def _models(view: View) -> Element | None:
    """Accuracy of models, and how far their confidence is from it."""
    figures = view.overview.figures
    rows = []
    for model, one in figures.models().items():
        error = figures.model_calibration.get(model)
        gap = (
            ("", "") if error is None else (number(error.error), interval(error.error, error.low, min(error.high, 1.0)))
        )
        rows.append((model, *_right(one), *gap))
    headings = ("model", "accuracy", "95 %", "by", "calibration error", "95 %")
    return table(headings, rows, none="") if rows else None


def objects(view: View) -> Element | None:
    """Labels with objects or words, where the project has any."""
    about = view.overview.kinds
    if not about:
        return None
    rows: list[Sequence[Child]] = []
    for of, found in sorted(about.objects.items(), reverse=True):
        each = found.each
        drawn = interval(each.rate, each.low, each.high, most=rounded_up(each.high))
        shown = E("span", drawn, f"{number(each.low)} to {number(each.high)}", class_="ends")
        rows.append((f"objects in each of {of}", number(each.rate), shown, f"{count(each.labels)} items"))
    for told, rates, seen in (
        ("extents of {} differ from people's by", about.extent, "pairs"),
        ("words of {} wrong, by blind audits", about.words, "words"),
    ):
        for model, one in rates.items():
            shown = _between(one.rate, one.low, one.high)
            rows.append((told.format(model), percent(one.rate), shown, f"{count(one.labels)} {seen}"))
    charts = [
        mixes(f"Objects of {of}: {count(mix.now)} now, {count(mix.before)} in the day before", mix)
        for of, mix in view.overview.objects.items()
    ]
    measured = table(("in the window", "", "95 %", "of"), rows, none="")
    return section("Objects", measured, E("div", *charts, class_="charts"))


def _measured(view: View) -> Element:
    figures = view.overview.figures
    rows: list[Sequence[Child]] = [
        (
            f"audits of {model}: people confirm",
            percent(one.agreement),
            f"{percent(one.low)} to {percent(one.high)}, {count(one.labels)} in the window",
        )
        for model, one in view.overview.audits.items()
    ]
    if figures.agreement is not None:
        one = figures.agreement
        alpha = f"alpha {number(one.alpha)}, AC1 {number(one.ac1)}, {count(one.rounds)} rounds"
        rows.append(("annotators agree", percent(one.percent), alpha))
    for against, each in figures.calibration.items():
        rows.append((f"labels right, by {against}", percent(each.accuracy), f"calibration error {number(each.error)}"))
    if figures.certificate is not None:
        told = figures.certificate
        rows.append((f"certificate for {told.model_version}", *_accepted(told.pooled)))
        rows += [(f"certificate for {each_class.symbol}", *_accepted(each_class)) for each_class in told.classes]
    rows.append(("relabel requests left today", count(view.overview.budget_left), ""))
    return table(("measured", "", ""), rows, none="")


def _accepted(terms: CertificateTerms) -> tuple[str, str]:
    if terms.threshold is None:
        return "withdrawn", "" if terms.breached_since is None else f"in doubt since {clock(terms.breached_since)}"
    return "granted", f"from confidence {number(terms.threshold)}, until {clock(terms.valid_until)}"


def _ambiguous(view: View) -> Element | None:
    worst = worst_classes(view.overview.figures, LABELS_AT_MOST)
    pairs = view.overview.figures.confused
    if not worst and not pairs:
        return None
    agreed = [(name, percent(one.percent), number(one.ac1)) for name, one in worst.items()]
    confused = [
        (f"{pair.truth} → {pair.answered}", percent(pair.share), interval(pair.share, pair.low, pair.high))
        for pair in pairs
    ]
    return E(
        "div",
        table(("least agreed on", "agreement", "AC1"), agreed, none="No agreement by class yet."),
        table(("answered for another", "share", ""), confused, none="No confused classes yet."),
        class_="charts",
    )


def people(view: View) -> Element:
    rows = [
        (
            person.skill.annotator_id,
            percent(person.skill.accuracy),
            interval(person.skill.accuracy, person.skill.low, person.skill.high),
            NONE if person.skill.recent is None else percent(person.skill.recent),
            count(person.skill.judged),
            NONE if person.skill.speed is None else f"{number(person.skill.speed.median_s)} s",
            "quarantined" if person.quarantined else "",
        )
        for person in view.people
    ]
    headings = ("annotator", "accuracy", "95 %", "recent", "judged", "median", "")
    found = table(headings, rows, none="Nobody's skill has been measured yet.")
    return section("Annotators", found, _pages(view))


def _pages(view: View) -> Element | None:
    links = []
    if view.after:
        links.append(E("a", "first", href="?" + urlencode({"project": view.overview.project_id})))
    if view.more:
        after = view.people[-1].skill.annotator_id
        links.append(E("a", "next", href="?" + urlencode({"project": view.overview.project_id, "after": after})))
    return E("p", *links, class_="pages") if links else None
