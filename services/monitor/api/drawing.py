"""Plots as SVG, drawn here: lines over time, two mixes side by side, an estimate with its interval, the flow."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from services.monitor.api.elements import E, Element
from services.monitor.api.wording import number, percent, points
from services.monitor.domain.overview import Mix

WIDTH, HEIGHT = 460, 150
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 10, 20
ROW = 17
NAME_AT_MOST = 24
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
TWO = 2


class Line(NamedTuple):
    """One line of a plot, by times that rise."""

    name: str
    points: Sequence[tuple[datetime, float]]


class Stage(NamedTuple):
    """One box of the flow: what passes it, and what waits before it."""

    name: str
    passing: str
    waiting: str = ""
    busy: bool = False


def _svg(width: float, height: float, title: str, *children: Element | None) -> Element:
    return E(
        "svg", E("title", title), *children, viewBox=f"0 0 {width:g} {height:g}", width=f"{width:g}",
        height=f"{height:g}", role="img", class_="plot",
    )  # fmt: skip


def _label(text: str, x: float, y: float, kind: str = "", anchor: str = "start") -> Element:
    return E("text", text, x=float(x), y=float(y), class_=kind or "small", text_anchor=anchor)


def short(name: str) -> str:
    return name if len(name) <= NAME_AT_MOST else name[: NAME_AT_MOST - 1] + "…"


def rounded_up(value: float) -> float:
    """The next number of the kind that axes end with."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value > 0:
        power /= 10
    return next((step * power for step in STEPS if step * power >= value), 10 * power) if value > 0 else 1.0


def lines(title: str, drawn: Sequence[Line], *, least_top: float = 0.0) -> Element:
    """Several lines over the same time, from 0 up to the largest value, or to `least_top` where that is more."""
    shown = [line for line in drawn if len(line.points) >= TWO]
    if not shown:
        return E("p", "Nothing to draw yet: it begins with the second reading.", class_="none")
    top = rounded_up(max(least_top, *(value for line in shown for _, value in line.points)))
    start = min(line.points[0][0] for line in shown)
    seconds = max((line.points[-1][0] - start).total_seconds() for line in shown) or 1.0
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(at: datetime, value: float) -> str:
        x = LEFT + across * (at - start).total_seconds() / seconds
        return f"{x:.1f},{TOP + down * (1 - value / top):.1f}"

    grid = [
        part
        for share in (0.0, 0.5, 1.0)
        for y in [TOP + down * (1 - share)]
        for part in (
            E("line", x1=float(LEFT), x2=float(WIDTH - RIGHT), y1=y, y2=y, class_="grid"),
            _label(number(top * share), LEFT - 5, y + 4, anchor="end"),
        )
    ]
    times = [
        _label(start.strftime("%H:%M"), LEFT, HEIGHT - 5),
        _label(max(line.points[-1][0] for line in shown).strftime("%H:%M"), WIDTH - RIGHT, HEIGHT - 5, anchor="end"),
    ]
    paths = [
        E("polyline", points=" ".join(place(*point) for point in line.points), class_=f"line s{n}")
        for n, line in enumerate(shown)
    ]
    return E("figure", _svg(WIDTH, HEIGHT, title, *grid, *times, *paths), _legend([line.name for line in shown], title))


def _legend(names: Sequence[str], title: str) -> Element:
    keys = [E("span", E("i", class_=f"key s{n}"), name, class_="name") for n, name in enumerate(names)]
    return E("figcaption", f"{title}: ", *keys)


def mixes(title: str, mix: Mix) -> Element:
    """A bar for now, with its interval where it has one, over a mark for the reference, for each class."""
    if not mix.shares:
        return E("p", "No events in the window or the day before.", class_="none")
    name_width, bar, height = 150, WIDTH - 150 - 100, ROW * len(mix.shares) + 4
    top = max(max(one.now or 0.0, one.reference or 0.0, one.high or 0.0) for one in mix.shares) or 1.0
    parts: list[Element] = []
    for n, one in enumerate(mix.shares):
        y = ROW * n + 2
        moved = "" if one.now is None or one.reference is None else points(one.now - one.reference)
        parts.append(_label(short(one.name), name_width - 6, y + 12, anchor="end"))
        if one.now is not None:
            parts.append(_bar(float(name_width), y + 3.0, bar * one.now / top))
        if one.low is not None and one.high is not None:
            ends = {"x1": name_width + bar * one.low / top, "x2": name_width + bar * one.high / top}
            parts.append(E("line", **ends, y1=y + ROW / 2, y2=y + ROW / 2, class_="whisker"))
        if one.reference is not None:
            x = name_width + bar * one.reference / top
            parts.append(E("line", x1=x, x2=x, y1=float(y), y2=float(y + ROW - 1), class_="mark"))
        parts.append(_label(f"{percent(one.now)}  {moved}", name_width + bar + 8, y + 12))
    return E("figure", _svg(WIDTH, height, title, *parts), E("figcaption", title))


def _bar(x: float, y: float, width: float) -> Element:
    return E("rect", x=x, y=y, width=width, height=float(ROW - 6), class_="fill s0")


def interval(value: float, low: float, high: float, *, least: float = 0.0, most: float = 1.0) -> Element:
    """An estimate and its interval on a scale."""
    width, height = 120, 14

    def place(at: float) -> float:
        return 2 + (width - 4) * (min(max(at, least), most) - least) / (most - least)

    parts = [
        E("line", x1=2.0, x2=float(width - 2), y1=7.0, y2=7.0, class_="grid"),
        E("line", x1=place(low), x2=place(high), y1=7.0, y2=7.0, class_="range"),
        E("circle", cx=place(value), cy=7.0, r=3.0, class_="dot"),
    ]
    if least < 0:
        parts.insert(1, E("line", x1=place(0.0), x2=place(0.0), y1=1.0, y2=13.0, class_="grid"))
    return _svg(width, height, f"{value:.3f}, {low:.3f} to {high:.3f}", *parts)


def scale(share: float) -> Element:
    """How much of a whole there is, 0 to 1."""
    width, height = 120, 14
    parts = [
        E("line", x1=2.0, x2=float(width - 2), y1=7.0, y2=7.0, class_="grid"),
        E("line", x1=2.0, x2=2 + (width - 4) * min(max(share, 0.0), 1.0), y1=7.0, y2=7.0, class_="range"),
        E("line", x1=float(width - 2), x2=float(width - 2), y1=1.0, y2=13.0, class_="mark"),
    ]
    return _svg(width, height, f"{share:.3f} of 1", *parts)


def flow(stages: Sequence[Stage]) -> Element:
    """The stages from left to right, with what passes and what waits."""
    box, gap, height = 128, 30, 84
    width = len(stages) * box + (len(stages) - 1) * gap
    parts: list[Element] = []
    for n, stage in enumerate(stages):
        x = n * (box + gap)
        kind = "box busy" if stage.busy else "box"
        parts.append(E("rect", x=float(x + 1), y=8.0, width=float(box - 2), height=68.0, rx=6.0, class_=kind))
        parts.append(_label(stage.name, x + box / 2, 27, "stage", "middle"))
        parts.append(_label(stage.passing, x + box / 2, 47, "value", "middle"))
        parts.append(_label(stage.waiting, x + box / 2, 66, anchor="middle"))
        if n:
            parts.append(E("path", d=f"M{x - gap + 3} 42 H{x - 6} m-5 -5 l5 5 l-5 5", class_="arrow"))
    return _svg(width, height, "The flow", *parts)
