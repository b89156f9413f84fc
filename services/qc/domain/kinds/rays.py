"""Outlines by how far they reach in each direction from a middle."""

from dataclasses import dataclass

import numpy as np

from services.qc.domain.answers import Floats, Ints, Whole

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


def crossings(rings: Rings, group: Ints, rays: Floats, number: Whole) -> tuple[Ints, Whole, Floats]:
    """Where rays from the middle cross rings; one that meets a corner crosses one of the two edges there.

    Args:
        rings: all of them.
        group: (rings,); whose rays, not falling.
        rays: directions from -pi to pi, of all groups one after the other, increasing in each.
        number: (groups,); rays of each, more than any edge crosses.

    Returns:
        Ring, ray and distance of each crossing: one for each ray and ring that surrounds the middle without folds.
    """
    ring = np.repeat(np.arange(len(rings.size), dtype=np.int32), rings.size)
    own, angle, following = group[ring], rings.angle, next_of(rings)
    keys = rays + np.repeat(np.arange(len(number)) * (2.0 * FULL), number)
    first = np.cumsum(number) - number
    place = np.searchsorted(keys, own * (2.0 * FULL) + angle) - first[own]  # rays before each corner
    after = place[following]
    forth = (angle[following] - angle + np.pi) % FULL > np.pi
    count = np.where(forth, after - place, place - after) % number[own]
    edge = np.repeat(np.arange(len(ring)), count)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count - np.where(forth, place, after), count)
    column = first[own][edge] + step % number[own][edge]
    (x, y), (dx, dy) = rings.points.T, (rings.points[following] - rings.points).T
    across = np.cos(rays)[column] * dy[edge] - np.sin(rays)[column] * dx[edge]
    far: Floats = (x * dy - y * dx)[edge] / np.where(across == 0.0, 1.0, across)
    return ring[edge], column, far
