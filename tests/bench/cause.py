"""`python -m tests.bench.cause [SEEDS [FROM]]`: how often the right cause comes first, with 95 % intervals.

What a run is: tests/support/causes.py. Each moves a tenth of the traffic within 20,000 items, or takes 15 points off
one person's accuracy, among innocents that changed at the same time. Right is the right signature, dimension and value.
"""

import sys
from collections import Counter
from multiprocessing import Pool

from services.monitor.domain.anchoring import Answers
from services.monitor.domain.cause import Signature, diagnose
from tests.support.causes import case


def one(given: tuple[Signature, int]) -> tuple[Signature, str, int]:
    """One run: its signature, what came first where that was wrong, and the answers of the period before."""
    signature, seed = given
    run = case(signature, seed)
    suspects = diagnose(run.before, run.after)
    first = suspects[0].signature.value if suspects else "nobody"
    wrong = "" if run.first(suspects) else first
    return signature, "another value" if wrong == signature.value else wrong, run.before.all_answers.total()


def main() -> None:
    """The table."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    start = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    runs = [(signature, seed) for seed in range(start, start + seeds) for signature in Signature]
    with Pool(2) as pool:
        found = pool.map(one, runs, chunksize=4)
    print(f"{'signature':>20} {'runs':>5} {'first':>6} {'share':>6} {'95 % interval':>16}  instead")
    for signature in Signature:
        wrong = [instead for name, instead, _ in found if name is signature]
        right = Answers(wrong.count(""), len(wrong))
        low, high = right.interval
        instead = ", ".join(f"{n} {name}" for name, n in Counter(wrong).most_common() if name)
        interval = f"{low:.3f} to {high:.3f}"
        print(f"{signature.value:>20} {right.total:>5} {right.agree:>6} {right.rate:>6.3f} {interval:>16}  {instead}")
    answers = [n for _, _, n in found]
    print(
        f"answers in the 20,000 items before: {min(answers)} to {max(answers)}, mean {sum(answers) / len(answers):.0f}"
    )


if __name__ == "__main__":
    main()
