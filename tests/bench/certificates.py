"""`python -m tests.bench.certificates [RUNS]`: how often what stands under certificates is worse than promised.

First with one certificate for all: a third of the runs has a stable model; in a third it becomes six times worse at
once, in a third slowly. Then as often where each of six classes, of shares from 4 to 45 % and errors of their own, has
its own certificate once its audits suffice: a third is stable, in the others one class becomes eight times worse, at
once or slowly. Last the first runs again, where the model's confidence is an opinion of the posterior by which people
stop (`consensus.prediction`). `worse`: runs whose accepted labels that stand at the end have a true error above the
target; `rest`: of those that stand on the pool's certificate; `class`: of those of any one class that stand on its own;
`apart`: such classes per run.
"""

import random
import sys
from dataclasses import replace
from multiprocessing import Pool

from tests.support.lanes import Kind, Outcome, Plan, stream

WIDTHS = (14, 5, 5, 6, 6, 6, 7, 8, 9, 8, 8)
PLANS = {"stable": Plan(), "sudden": Plan(worse=6.0), "slow": Plan(worse=6.0, ramp=5000)}
SHARES = (0.45, 0.2, 0.14, 0.1, 0.07, 0.04)
FLOOR = 0.8


def of_classes(seed: int) -> tuple[str, Plan]:
    """A run with classes: the one that becomes worse is any of them."""
    draw = random.Random(f"classes {seed}")
    kind, (worse, ramp) = (("stable", (1.0, 1)), ("one sudden", (8.0, 1)), ("one slow", (8.0, 5000)))[seed % 3]
    changed = draw.randrange(len(SHARES))
    kinds = tuple(
        Kind(share, draw.uniform(0.1, 1.0) ** 2 * 3.0, worse if place == changed else 1.0)
        for place, share in enumerate(SHARES)
    )
    return f"{kind}/class", Plan(kinds=kinds, ramp=ramp, floor=FLOOR)


def one(seed: int) -> tuple[str, Outcome]:
    """One run; kinds take turns."""
    kind = tuple(PLANS)[seed % len(PLANS)]
    return kind, stream(seed, PLANS[kind])


def one_heard(seed: int) -> tuple[str, Outcome]:
    """The same where people stop with the model's help."""
    kind = tuple(PLANS)[seed % len(PLANS)]
    return f"{kind}/heard", stream(seed, replace(PLANS[kind], heard=True))


def one_of_classes(seed: int) -> tuple[str, Outcome]:
    """The same with classes."""
    kind, plan = of_classes(seed)
    return kind, stream(seed, plan)


def table(found: list[tuple[str, Outcome]], target: float) -> None:
    """A line per kind of run, and one of all."""
    for kind in (*sorted({name for name, _ in found}), "all"):
        some = [outcome for name, outcome in found if kind in (name, "all")]
        worse = sum(one.error > target for one in some)
        rest = sum(one.rest.error > target for one in some)
        own = sum(any(part.error > target for part in one.own.values()) for one in some)
        standing, apart = (sum(each) / len(some) for each in ([o.standing for o in some], [len(o.own) for o in some]))
        print(
            f"{kind:>14} {len(some):>5} {worse:>5} {worse / len(some):>6.3f} {rest:>6} {own:>6}"
            f" {sum(one.error for one in some) / len(some):>7.4f} {sum(one.granted for one in some):>8}"
            f" {sum(one.withdrawn for one in some):>9} {standing:>8.0f} {apart:>8.1f}"
        )


def main() -> None:
    """The tables."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    target, confidence = PLANS["stable"].target, PLANS["stable"].confidence
    names = ("kind", "runs", "worse", "share", "rest", "class", "error", "granted", "withdrawn", "standing", "apart")
    print(*(f"{head:>{width}}" for head, width in zip(names, WIDTHS, strict=True)))
    with Pool() as pool:
        for work in (one, one_of_classes, one_heard):
            table(pool.map(work, range(runs), chunksize=8), target)
    print(f"stated: at most {1.0 - confidence:.2f} of runs above {target:.2f}")


if __name__ == "__main__":
    main()
