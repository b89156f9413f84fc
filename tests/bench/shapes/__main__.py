"""Prints every kind at 3, 5 and 9 opinions; fails where fusing is no better than what it is held against."""

import sys

from tests.bench.shapes.drawing import DRAWS, scene
from tests.bench.shapes.figures import figures, seconds

OPINIONS = (3, 5, 9)
SCORES = ("mean_iou", "f1", "quality")
ITEMS = 150


def main(kinds: list[str]) -> int:
    """The number of figures that are no better."""
    worse = 0
    print(f"{ITEMS} items of about 8 objects by some of 10 people, 2 of them careless; fused, majority, best single")
    for kind in kinds or list(DRAWS):
        for opinions in OPINIONS:
            found = figures(scene(kind, ITEMS, opinions, 1))
            cells = []
            for name in SCORES:
                ours, *others = (float(getattr(one, name)) for one in (found.fused, found.majority, found.single))
                worse += ours <= max(others)
                told = " ".join(f"{each:.3f}" for each in (ours, *others))
                cells.append(f"{name} {told}{' !' if ours <= max(others) else ''}")
            bins = " ".join(f"{one.posterior:.2f}/{one.accuracy:.2f}" for one in found.reliability.bins)
            print(f"{kind:12} {opinions}  " + "   ".join(cells), flush=True)
            print(f"{'':15}existence, stated/real: {bins}; error {found.reliability.error:.3f}", flush=True)
        taken = seconds(scene(kind, 3, 9, 2, objects=50))
        print(f"{kind:12} 9 opinions of 50 objects: {taken * 1e3:.1f} ms of CPU", flush=True)
    return worse


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
