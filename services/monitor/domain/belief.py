"""How likely a label is wrong, by the model's distribution and people's answers together.

The model says p, calibrated by a temperature that people's answers teach (Guo et al. 2017); each person is right with
their accuracy, else anything else alike. On hard items people and model err together, so what people say is taken for
less than independent: its logarithm counts `WEIGHT`. That holds where only one person answered, too: a lone answer of
somebody weak against a sure model is wrong, one of somebody strong against an unsure model is not. CROWDLAB (Goh et al.
2022) averages what is multiplied here; tests/bench/relabels.py has both beside each other.
"""

import math
from collections.abc import Mapping, Sequence

TEMPERATURES = (0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)
ACCURACY = 0.85
"""Of people of whom nothing is known."""
LEAST, MOST = 0.5, 0.98
WEIGHT = 0.9
MAX_CLASSES = 200
TINY = 1e-6
MICRO = 1_000_000
PRIOR_NATS = 1.0


def softened(distribution: Mapping[str, float], temperature: float) -> dict[str, float]:
    """The distribution to the power of 1 / temperature, adding up to 1."""
    logs = {name: math.log(max(p, TINY)) / temperature for name, p in distribution.items()}
    top = max(logs.values())
    mass = {name: math.exp(log - top) for name, log in logs.items()}
    total = math.fsum(mass.values())
    return {name: m / total for name, m in mass.items()}


def posterior(
    distribution: Mapping[str, float], votes: Sequence[tuple[str, float]], *, temperature: float = 1.0
) -> dict[str, float]:
    """P(class | model and people).

    Args:
        distribution: the model's.
        votes: what each person answered, and their accuracy.
        temperature: of the model.
    """
    classes = dict.fromkeys(distribution) | dict.fromkeys(symbol for symbol, _ in votes)
    given = softened({name: distribution.get(name, 0.0) for name in classes}, temperature)
    logs = {name: math.log(max(p, TINY)) for name, p in given.items()}
    for symbol, accuracy in votes:
        right = min(max(accuracy, LEAST), MOST)
        wrong = (1.0 - right) / max(len(classes) - 1, 1)
        for name in logs:
            logs[name] += WEIGHT * math.log(right if name == symbol else wrong)
    top = max(logs.values())
    mass = {name: math.exp(log - top) for name, log in logs.items()}
    total = math.fsum(mass.values())
    return {name: m / total for name, m in mass.items()}


def taught(distribution: Mapping[str, float], answer: str) -> list[int]:
    """What one answer says for each of `TEMPERATURES`: log likelihoods in millionths of a nat; they add up."""
    if not 1 < len(distribution) <= MAX_CLASSES:
        return []
    chance = (1.0 - ACCURACY) / len(distribution)
    return [
        round(MICRO * math.log(ACCURACY * softened(distribution, one).get(answer, 0.0) + chance))
        for one in TEMPERATURES
    ]


def temperature(taught_sums: Sequence[float]) -> float:
    """The mean temperature, over what answers say and a slight preference for 1; nats, one for each temperature."""
    if not taught_sums:
        return 1.0
    logs = [log - PRIOR_NATS * abs(math.log(one)) for log, one in zip(taught_sums, TEMPERATURES, strict=True)]
    top = max(logs)
    mass = [math.exp(log - top) for log in logs]
    return math.fsum(m * one for m, one in zip(mass, TEMPERATURES, strict=True)) / math.fsum(mass)
