"""`python -m tests.bench.certificates [RUNS]`: how often what stands under certificates is worse than promised.

A third of the runs has a stable model; in a third it becomes six times worse at once, in a third slowly.
"""

import sys
from multiprocessing import Pool

from tests.support.lanes import Outcome, Plan, stream

WIDTHS = (8, 5, 5, 6, 7, 8, 9, 8)
PLANS = {"stable": Plan(), "sudden": Plan(worse=6.0), "slow": Plan(worse=6.0, ramp=5000)}


def one(seed: int) -> tuple[str, Outcome]:
    """One run; kinds take turns."""
    kind = tuple(PLANS)[seed % len(PLANS)]
    return kind, stream(seed, PLANS[kind])


def main() -> None:
    """The table."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with Pool() as pool:
        found = pool.map(one, range(runs), chunksize=8)
    heads = zip(("kind", "runs", "worse", "share", "error", "granted", "withdrawn", "standing"), WIDTHS, strict=True)
    print(*(f"{head:>{width}}" for head, width in heads))
    for kind in (*PLANS, "all"):
        some = [outcome for name, outcome in found if kind in (name, "all")]
        worse = sum(outcome.error > PLANS["stable"].target for outcome in some)
        print(
            f"{kind:>8} {len(some):>5} {worse:>5} {worse / len(some):>6.3f}"
            f" {sum(o.error for o in some) / len(some):>7.4f} {sum(o.granted for o in some):>8}"
            f" {sum(o.withdrawn for o in some):>9} {sum(o.standing for o in some) / len(some):>8.0f}"
        )
    print(f"stated: at most {1.0 - PLANS['stable'].confidence:.2f} of runs above {PLANS['stable'].target:.2f}")


if __name__ == "__main__":
    main()
