"""The 20,000 digits that `labelstream economics` is measured on: `python -m tests.bench.digits FOLDER`.

Copies of the 1,797 handwritten digits of scikit-learn: moved by up to a pixel, turned by up to ten degrees, with noise
of 5 % of full ink; `group` names the image behind a copy, so that the model is measured on images it never saw. Twelve
simulated people of 85 to 95 % skill, five of them for each item, by chance; who is wrong says any other digit. The
folder then holds items.jsonl, answers.csv and truth.csv.
"""

import csv
import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from scipy import ndimage
from sklearn.datasets import load_digits

PEOPLE, OPINIONS, CLASSES = 12, 5, 10
SKILLS = np.linspace(0.85, 0.95, PEOPLE)
SHIFT, TURN, NOISE, INK = 1.0, 10.0, 0.05, 16.0


def main(
    folder: Annotated[Path, typer.Argument(help="Made if it is not there.")],
    items: Annotated[int, typer.Option(min=1, help="How many.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 1,
) -> None:
    """Write the three files."""
    draw = np.random.default_rng(seed)
    images, truths = load_digits(return_X_y=True)
    originals = np.concatenate([draw.permutation(len(images)) for _ in range(-(-items // len(images)))])[:items]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "items.jsonl").open("w") as lines:
        for number, original in enumerate(originals):
            turned = ndimage.rotate(
                images[original].reshape(8, 8) / INK, draw.uniform(-TURN, TURN), reshape=False, order=1
            )
            moved = ndimage.shift(turned, draw.uniform(-SHIFT, SHIFT, 2), order=1)
            pixels = np.clip(moved + draw.normal(0, NOISE, moved.shape), 0, 1).ravel()
            content = {"task": f"d{number}", "features": [round(float(one), 4) for one in pixels]}
            lines.write(json.dumps(content | {"group": f"g{original}"}) + "\n")
    with (
        (folder / "answers.csv").open("w", newline="") as answers,
        (folder / "truth.csv").open("w", newline="") as truth,
    ):
        given, known = csv.writer(answers), csv.writer(truth)
        given.writerow(("task", "worker", "label"))
        known.writerow(("task", "label"))
        for number, original in enumerate(originals):
            known.writerow((f"d{number}", truths[original]))
            for person in draw.choice(PEOPLE, OPINIONS, replace=False):
                right = draw.random() < SKILLS[person]
                label = truths[original] if right else (truths[original] + draw.integers(1, CLASSES)) % CLASSES
                given.writerow((f"d{number}", f"p{person}", label))


if __name__ == "__main__":
    typer.run(main)
