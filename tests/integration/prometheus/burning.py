"""The objectives' alerts: budgets that burn fast, slowly, within what is allowed, and with too little traffic."""

from collections.abc import Iterator

from cli.docs.objectives import BURNS, OBJECTIVES, PATH, Burn, Objective
from tests.integration.prometheus.promtool import Expected, Scenario

LABELS = {
    "project": {"service": "monitor", "project": "p"},
    "service_topic": {"service": "qc", "topic": "t"},
    "service": {"service": "assignment"},
}
APART = {"path": "single", "outcome": "processed", "partition": "", "route": "/v1/next", "status": "2xx"}
PER_MINUTE = 30.0
SAMPLES = 60


def _series(objective: Objective, rate: float, bad: float) -> Iterator[tuple[str, str]]:
    """All events, and the good or bad ones among them, from two replicas that show or count them."""
    share = 1 - bad if objective.good else bad
    for replica in ("a", "b"):
        for selector, part in ((objective.total, 1.0), (objective.good or objective.bad, share)):
            name, _, inside = selector.rstrip("}").partition("{")
            given = dict(pair.split("=", 1) for pair in inside.split(", ") if pair and "!=" not in pair)
            given = {key: value.strip('"') for key, value in given.items()}
            apart = {key: APART[key] for key in objective.apart.split(", ") if APART.get(key)}
            labels = {"job": "labelstream", "instance": replica, **apart, **LABELS[objective.level], **given}
            text = ", ".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
            yield f"{name}{{{text}}}", f"0+{rate * part:g}x{SAMPLES}"


def _expected(objective: Objective, at: str, burns: tuple[Burn, ...]) -> Expected:
    labels = [
        {"job": "labelstream", **LABELS[objective.level], "severity": burn.severity, "window": burn.long}
        for burn in burns
    ]
    return Expected(objective.alert, at, labels)


def _scenario(name: str, bad: float, burns: tuple[Burn, ...], per_minute: float = PER_MINUTE) -> Scenario:
    """`bad`: how many times more of the events are bad than an objective allows, for two hours."""
    series: dict[str, str] = {}
    for one in OBJECTIVES:
        series |= dict(_series(one, 2 * per_minute, min(1.0, bad * one.allowed)))
    expected = [_expected(one, f"{2 * SAMPLES}m", burns) for one in OBJECTIVES]
    return Scenario(name, series, expected, rules=[PATH.name], every_min=2)


BURNING = (
    _scenario("all is lost", 20, BURNS),
    _scenario("three times what is allowed", 3, BURNS[2:]),
    _scenario("half of what is allowed", 0.5, ()),
    _scenario("too little traffic to say", 1_000, (), per_minute=0.1),
)
