"""Prints every kind at 3, 5 and 9 opinions, over several crowds; fails where fusing is no better than simpler ways."""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

from services.qc.domain.answers import Floats
from tests.bench.shapes.drawing import DRAWS, crowded, scene
from tests.bench.shapes.figures import Figures, figures, seconds

OPINIONS = (3, 5, 9)
SCORES = ("mean_iou", "f1", "quality")
ITEMS = 40
SEEDS = 10


def gain(found: list[Figures], name: str, other: str) -> tuple[str, bool]:
    """The mean difference to another way with its 95 % interval, paired by crowd; and whether it is no gain."""
    apart: Floats = np.array([getattr(each.fused, name) - getattr(getattr(each, other), name) for each in found])
    half = float(student.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / np.sqrt(len(apart)))
    mean = float(apart.mean())
    sure = "" if mean - half > 0 else " ~" if mean > 0 else " !"
    return f"{mean:+.3f}±{half:.3f}{sure}", mean <= 0


def main(kinds: Sequence[str], each_of: Sequence[int], seeds: int) -> int:
    """The number of mean differences that are not above nothing; of so many opinions each, by so many crowds."""
    worse = 0
    print(
        f"{seeds} crowds of 10 people, 2 of them careless, {ITEMS} items of about 8 objects each: mean of what is"
        " fused, less the majority's, less the best annotator's, who is the best of ten in each score by itself, less"
        " that of who had the best F1 on the other half of the items;"
        " ~ the interval holds 0, ! no better"
    )
    for kind in kinds or list(DRAWS):
        for opinions in each_of:
            found = [figures(scene(kind, ITEMS, opinions, seed)) for seed in range(1, seeds + 1)]
            cells = []
            for name in SCORES:
                mean = np.mean([getattr(each.fused, name) for each in found])
                told = [gain(found, name, other) for other in ("majority", "single", "chosen")]
                worse += sum(bad for _, bad in told)
                cells.append(f"{name} {mean:.3f} {' '.join(text for text, _ in told)}")
            error = np.mean([each.reliability.error for each in found])
            print(f"{kind:12} {opinions}  {'   '.join(cells)}   existence off by {error:.3f}", flush=True)
        if max(each_of) == max(OPINIONS):
            taken = seconds(crowded(kind, 9, 50, 2))
            print(f"{kind:12} 9 opinions of 50 objects each: {taken * 1e3:.1f} ms of CPU", flush=True)
    return worse


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help="of " + ", ".join(DRAWS))
    parser.add_argument("--opinions", type=int, nargs="+", default=OPINIONS)
    parser.add_argument("--crowds", type=int, default=SEEDS)
    chosen = parser.parse_args()
    sys.exit(1 if main(chosen.kinds, chosen.opinions, chosen.crowds) else 0)
