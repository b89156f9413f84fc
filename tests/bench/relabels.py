"""`python -m tests.bench.relabels [DATASETS]`: how many of the labels asked for again are wrong, by several rankings.

The synthetic benchmark: 8000 items, 8 people, a budget of 400, ten seeds; and, where a folder of recorded crowds is
given (answers.csv and truth.csv of one class per answer), their labels with planted errors, a budget of a twentieth of
the items, ten seeds each. How either is made: tests/support/wrong_labels.py. Means, with a 95 % interval over seeds.
"""

import math
import sys
from pathlib import Path

import numpy as np

from tests.bench.quality.compare import load
from tests.support.wrong_labels import MODELS, WAYS, Labelled, precision, recorded, synthetic

BUDGET, SEEDS, SHARE = 400, 10, 0.05
LEAST, MOST_ITEMS = 100, 3000
T9 = 2.262
"""Student's 97.5 % point for ten seeds."""


def shown(name: str, runs: list[tuple[Labelled, int]]) -> dict[str, float]:
    """One row; the means by ranking."""
    means = {}
    chance = np.mean([labelled.wrong.mean() for labelled, _ in runs])
    cells = []
    for way, score in WAYS.items():
        found = [precision(labelled, score(labelled), budget, seed) for seed, (labelled, budget) in enumerate(runs)]
        means[way] = float(np.mean(found))
        cells.append(f"{means[way]:.3f} ± {T9 * np.std(found, ddof=1) / math.sqrt(len(found)):.3f}")
    print(f"{name:>22} {runs[0][1]:>6} {chance:>6.3f}  " + "  ".join(f"{cell:>13}" for cell in cells), flush=True)
    return means


def main() -> None:
    """The table."""
    heads = [way[:13] for way in WAYS]
    print(f"{'labels':>22} {'budget':>6} {'chance':>6}  " + "  ".join(f"{head:>13}" for head in heads))
    for kind in MODELS:
        shown(kind, [(synthetic(seed, kind), BUDGET) for seed in range(SEEDS)])
    if len(sys.argv) > 1:
        wins, ways = 0, list(WAYS)
        crowds = [crowd for path in sorted(Path(sys.argv[1]).iterdir()) if (path / "truth.csv").exists()
                  if (crowd := load(path)) is not None]  # fmt: skip
        considered = 0
        for crowd in crowds:
            known = np.flatnonzero(crowd.truth >= 0)
            if len(known) < LEAST:
                continue
            known = known[:MOST_ITEMS]
            place = {int(item): n for n, item in enumerate(known)}
            taken = crowd.recorded.answers
            answers = [
                (place[int(i)], int(a), int(s))
                for i, a, s in zip(taken.item, taken.annotator, taken.symbol, strict=True)
                if int(i) in place
            ]
            truth = crowd.truth[known]
            runs = []
            for seed in range(SEEDS):
                labelled = recorded(seed, answers, truth.astype(np.int64), taken.classes)
                runs.append((labelled, max(round(SHARE * len(labelled.given)), 1)))
            means = shown(crowd.name, runs)
            considered += 1
            wins += means[ways[0]] > means["disagreement alone"]
        print(f"better than disagreement alone on {wins} of {considered} recorded crowds")


if __name__ == "__main__":
    main()
