"""Numbers and times as people read them."""

from datetime import datetime

NONE = "-"
TENTH, TEN, HUNDRED, THOUSAND = 0.1, 10.0, 100.0, 1_000.0
MINUTE, HOUR, DAY = 60, 3_600, 86_400


def count(n: float) -> str:
    return f"{n:,.0f}"


def number(value: float | None) -> str:
    """Three significant digits or so."""
    if value is None:
        return NONE
    if abs(value) >= HUNDRED:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= TEN else f"{value:.2f}"


def rate(per_second: float | None) -> str:
    return NONE if per_second is None else f"{number(per_second)}/s"


def percent(share: float | None) -> str:
    return NONE if share is None else f"{share:.1%}"


def points(difference: float) -> str:
    return f"{100 * difference:+.1f}"


def clock(at: datetime | None) -> str:
    return NONE if at is None else at.strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: float) -> str:
    """Of an age, in its largest unit."""
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
