"""Outlines by how far they reach in each direction from a middle."""

from dataclasses import dataclass

import numpy as np

from services.qc.domain.answers import Bools, Floats, Ints

FULL = 2.0 * np.pi


@dataclass(frozen=True, slots=True)
class Rings:
    """Outlines around middles at 0, 0, counter-clockwise, not closed, one after the other.

    Attributes:
        points: (corners, 2).
        first, size: (rings,); where its corners begin, and how many there are.
    """

    points: Floats
    first: Ints
    size: Ints

    @property
    def angle(self) -> Floats:
        """(corners,); of each, from -pi to pi."""
        found: Floats = np.arctan2(self.points[:, 1], self.points[:, 0])
        return found


def next_of(rings: Rings) -> Ints:
    """(corners,); the corner after each in its ring."""
    found = np.arange(1, len(rings.points) + 1, dtype=np.int32)
    found[rings.first + rings.size - 1] = rings.first
    return found


def star(rings: Rings, angle: Floats) -> Bools:
    """(rings,); whether every ray meets the ring exactly once: the corners' angles only grow, once around."""
    turn = (angle[next_of(rings)] - angle + np.pi) % FULL - np.pi
    least = np.minimum.reduceat(turn, rings.first)
    whole = np.add.reduceat(turn, rings.first)
    found: Bools = (least > 0.0) & (np.abs(whole - FULL) < 1.0)
    return found


def reach_of_stars(rings: Rings, angle: Floats, ring: Ints, column: Ints, rays: Floats) -> Floats:
    """How far rings reach that every ray meets once.

    Args:
        rings: all of them.
        angle: (corners,); of the corners.
        ring: (reaches,); of which ring, not falling.
        column: (reaches,); along which ray.
        rays: (rays,); directions from -pi to pi.
    """
    key = np.repeat(np.arange(len(rings.size)), rings.size) * (2.0 * FULL) + angle
    order = np.argsort(key, kind="stable")  # by angle within each ring
    place = np.searchsorted(key[order], ring * (2.0 * FULL) + rays[column], side="right") - 1
    first, last = rings.first[ring], rings.first[ring] + rings.size[ring] - 1
    corner = order[np.where(place < first, last, place)]  # before the first corner lies the edge from the last one
    (x, y), after = rings.points.T, rings.points[next_of(rings)]
    dx, dy = after[:, 0] - x, after[:, 1] - y
    across = np.cos(rays)[column] * dy[corner] - np.sin(rays)[column] * dx[corner]
    found: Floats = (x * dy - y * dx)[corner] / across
    return found


def reach(points: Floats, angles: Floats) -> tuple[Floats, float]:
    """How far a ring reaches in each direction, 0 where it does not; and the part of rays that meet it repeatedly."""
    x, y = points[:, 0], points[:, 1]
    dx, dy = np.roll(x, -1) - x, np.roll(y, -1) - y
    cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]
    start = cosine * y - sine * x  # to the left of the ray above 0
    end = np.roll(start, -1, axis=1)
    crossed = (start > 0) != (end > 0)
    slope = cosine * dy - sine * dx
    reach_ = np.where(crossed, (x * dy - y * dx) / np.where(crossed, slope, 1.0), 0.0)
    found: Floats = reach_.max(axis=1, initial=0.0)
    return found, float(((reach_ > 0.0).sum(axis=1) > 1).mean())
