"""Scenes of shapes, and people who draw them with stated noise: misses, false objects, jitter, wrong classes.

One in five is careless. Nothing here is what the engine assumes: extents are moved, stretched and turned together,
false objects are anywhere, small objects are missed more often.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.qc.domain.kinds.boxes import BoxGeometry, Rect
from services.qc.domain.kinds.clusters import Answer, Drawn
from services.qc.domain.kinds.masks import MaskGeometry
from services.qc.domain.kinds.polygons import PolygonGeometry, region
from services.qc.domain.kinds.runs import Runs, tidy
from services.qc.domain.kinds.tracks import Path, TrackGeometry

SIDE = 1000
CLASSES = ("car", "person", "bicycle", "dog", "sign")


@dataclass(frozen=True, slots=True)
class Noise:
    """One annotator: P(an object is drawn), false objects an item, jitter in parts of the size, P(wrong class)."""

    detection: float
    false: float
    jitter: float
    wrong: float


CAREFUL = Noise(0.9, 0.3, 0.05, 0.08)
CARELESS = Noise(0.55, 2.0, 0.16, 0.4)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is, before it is drawn as anything: centre, size, direction, and a shape of its own."""

    x: float
    y: float
    size: float
    turn: float
    shape: int


def people(number: int, rng: np.random.Generator) -> list[Noise]:
    """Every fifth one careless, the others around the careful one."""
    found = []
    for place in range(number):
        like = CARELESS if place % 5 == 4 else CAREFUL
        spread = rng.uniform(0.7, 1.3, 3)
        missed = (1 - like.detection) * spread[0]
        found.append(Noise(1 - missed, like.false * spread[1], like.jitter * spread[2], like.wrong * spread[0]))
    return found


def somewhere(rng: np.random.Generator) -> Place:
    size = float(np.exp(rng.uniform(np.log(25), np.log(160))))
    x, y = rng.uniform(size, SIDE - size, 2)
    return Place(float(x), float(y), size, float(rng.uniform(0, 180)), int(rng.integers(1 << 30)))


def moved(place: Place, jitter: float, rng: np.random.Generator) -> Place:
    """As somebody with a jitter saw it."""
    x, y = rng.normal(0, jitter * place.size, 2)
    size = place.size * float(np.exp(rng.normal(0, jitter)))
    return Place(
        place.x + float(x), place.y + float(y), size, place.turn + float(rng.normal(0, 60 * jitter)), place.shape
    )


Draw = Callable[[Place, float, np.random.Generator], Any]


def box(place: Place, jitter: float, rng: np.random.Generator) -> Rect:
    """An upright box; each edge has noise of its own."""
    own = np.random.default_rng(place.shape)
    ratio = float(np.exp(own.uniform(-0.6, 0.6)))
    width, height = place.size * ratio, place.size / ratio
    left, top, right, bottom = np.array(
        [place.x - width / 2, place.y - height / 2, place.x + width / 2, place.y + height / 2]
    )
    left, right = np.sort(np.array([left, right]) + rng.normal(0, jitter * width / 2, 2)).tolist()
    top, bottom = np.sort(np.array([top, bottom]) + rng.normal(0, jitter * height / 2, 2)).tolist()
    return Rect(left, top, max(right - left, 1.0), max(bottom - top, 1.0))


def turned_box(place: Place, jitter: float, rng: np.random.Generator) -> Rect:
    """A turned box, told by any of its quarter turns."""
    found, quarter = box(place, jitter, rng), int(rng.integers(4))
    x, y = found.x + found.width / 2, found.y + found.height / 2
    width, height = (found.height, found.width) if quarter % 2 else (found.width, found.height)
    return Rect(x - width / 2, y - height / 2, width, height, place.turn + 90.0 * quarter - 180)


def outline(place: Place, jitter: float, rng: np.random.Generator, points: int) -> Any:
    """(points, 2); a star-shaped outline; each point has noise along its ray."""
    own = np.random.default_rng(place.shape)
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False) + (rng.uniform(0, 2 * np.pi) if jitter else 0.0)
    radius = np.full(points, 1.0)
    for wave in (2, 3, 5):
        radius += own.uniform(0, 0.25) * np.cos(wave * (angle - own.uniform(0, 2 * np.pi)))
    radius = place.size / 2 * np.maximum(radius + rng.normal(0, jitter, points), 0.1)
    return np.column_stack([place.x + radius * np.cos(angle), place.y + radius * np.sin(angle)])


def polygon(place: Place, jitter: float, rng: np.random.Generator) -> Any:
    return region(outline(place, jitter, rng, 24 if jitter else 120).tolist())


def mask(place: Place, jitter: float, rng: np.random.Generator) -> Runs:
    """What an outline covers, as run lengths down the columns."""
    points = outline(place, jitter, rng, 32 if jitter else 120)
    low, high = max(int(points[:, 0].min()), 0), min(int(points[:, 0].max()) + 1, SIDE - 1)
    columns, after = np.arange(low, high + 1), np.roll(points, -1, axis=0)
    middle = columns[:, None] + 0.5
    crossed = (points[:, 0] <= middle) != (after[:, 0] <= middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = points[:, 1] + (middle - points[:, 0]) * (after[:, 1] - points[:, 1]) / (after[:, 0] - points[:, 0])
    starts, ends = [], []
    for column, at, where in zip(columns.tolist(), y, crossed, strict=True):
        rows = np.clip(np.round(np.sort(at[where])), 0, SIDE).astype(np.int64) + column * SIDE
        starts.append(rows[::2])
        ends.append(rows[1::2])
    return tidy(np.concatenate(starts), np.concatenate(ends), SIDE, SIDE)


def track(place: Place, jitter: float, rng: np.random.Generator) -> Path:
    """A box that moves in a curve, for some of 120 frames, told by a keyframe in about ten."""
    own = np.random.default_rng(place.shape)
    first, last = own.integers(0, 50), own.integers(70, 120)
    speed, bend = own.uniform(-2, 2, 2), own.uniform(-0.01, 0.01, 2)
    ratio = float(np.exp(own.uniform(-0.5, 0.5)))
    ends = np.round(np.array([first, last]) + rng.normal(0, 60 * jitter, 2)).astype(int).clip(0, 119)
    step = 10 if jitter else 1
    frames = np.unique([*range(int(ends.min()), int(ends.max()), step), int(ends.max())]).astype(np.int32)
    if len(frames) > 2 and jitter:
        frames = np.unique(np.append(rng.choice(frames, len(frames) - 1, replace=False), ends)).astype(np.int32)
    time = frames[:, None] - 60.0
    middle = np.array([place.x, place.y]) + speed * time + bend * time**2
    middle = middle + rng.normal(0, jitter * place.size / 3, middle.shape)
    half = place.size / 2 * np.array([ratio, 1 / ratio]) * np.exp(rng.normal(0, jitter / 2, middle.shape))
    return Path(frames, np.concatenate([middle - half, middle + half], axis=1))


DRAWS: dict[str, Draw] = {
    "boxes": box, "turned boxes": turned_box, "polygons": polygon, "masks": mask, "tracks": track,
}  # fmt: skip
GEOMETRIES: dict[str, Any] = {
    "boxes": BoxGeometry(), "turned boxes": BoxGeometry(), "polygons": PolygonGeometry(), "masks": MaskGeometry(),
    "tracks": TrackGeometry(),
}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """Items with their truth and everybody's answers."""

    kind: str
    truth: tuple[tuple[Drawn[Any], ...], ...]
    answers: tuple[tuple[Answer[Any], ...], ...]

    @property
    def geometry(self) -> Any:
        return GEOMETRIES[self.kind]


def scene(kind: str, items: int, opinions: int, seed: int, *, objects: float = 8.0, pool: int = 10) -> Scene:
    """Items that each some of a pool of people drew.

    Args:
        kind: see `DRAWS`.
        items: how many.
        opinions: of each item.
        seed: of everything.
        objects: mean number in an item.
        pool: people in all.
    """
    rng = np.random.default_rng([seed, len(kind), opinions])
    crowd = people(pool, rng)
    truth, answers = [], []
    for _ in range(items):
        places = [(somewhere(rng), str(rng.choice(CLASSES))) for _ in range(rng.poisson(objects))]
        truth.append(tuple(Drawn(DRAWS[kind](place, 0.0, rng), label) for place, label in places))
        who = rng.choice(len(crowd), min(opinions, len(crowd)), replace=False)
        answers.append(tuple(_answer(kind, f"p{one:02}", crowd[one], places, rng) for one in sorted(who.tolist())))
    return Scene(kind, tuple(truth), tuple(answers))


def _answer(
    kind: str, name: str, noise: Noise, places: Sequence[tuple[Place, str]], rng: np.random.Generator
) -> Answer[Any]:
    found = []
    for place, label in places:
        small = 1.5 if place.size < 50 else 0.7
        if rng.random() < 1 - (1 - noise.detection) * small:
            others = [name for name in CLASSES if name != label]
            given = str(rng.choice(others)) if rng.random() < noise.wrong else label
            found.append(Drawn(DRAWS[kind](moved(place, noise.jitter, rng), noise.jitter, rng), given))
    found += [
        Drawn(DRAWS[kind](somewhere(rng), noise.jitter, rng), str(rng.choice(CLASSES)))
        for _ in range(rng.poisson(noise.false))
    ]
    order = rng.permutation(len(found))
    return Answer(name, tuple(found[at] for at in order if found[at].extent is not None))


def crowded(kind: str, opinions: int, objects: int, seed: int) -> Scene:
    """Three items of so many objects, of which everybody drew exactly so many: with false ones for those missed."""
    rng = np.random.default_rng(seed)
    crowd = people(opinions, rng)
    truth, answers = [], []
    for _ in range(3):
        places = [(somewhere(rng), str(rng.choice(CLASSES))) for _ in range(objects)]
        truth.append(tuple(Drawn(DRAWS[kind](place, 0.0, rng), label) for place, label in places))
        item = []
        for one, noise in enumerate(crowd):
            found = list(_answer(kind, "", noise, places, rng).objects)
            while len(found) < objects:
                drawn = DRAWS[kind](somewhere(rng), noise.jitter, rng)
                found += [Drawn(drawn, str(rng.choice(CLASSES)))] if drawn is not None else []
            item.append(Answer(f"p{one:02}", tuple(found[:objects])))
        answers.append(tuple(item))
    return Scene(kind, tuple(truth), tuple(answers))
