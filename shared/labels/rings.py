"""Whether a ring of points is simple: no edge touches or crosses another, no point comes twice.

The sweep of Shamos & Hoey ("Geometric intersection problems", 1976) in whole numbers: no rounding can miss a crossing
or invent one: coordinates are taken to the nearest 2^-20 of a pixel. O(n log n) comparisons, whatever the ring.
"""

from collections.abc import Sequence

GRID = 2**20
P = tuple[int, int]


def ring_fault(points: Sequence[tuple[float, float]]) -> str | None:
    """What keeps a ring from being simple, by the places of its points; None for a simple one.

    Args:
        points: at least three finite ones, not closed explicitly.
    """
    ring = [(round(x * GRID), round(y * GRID)) for x, y in points]
    places: dict[P, int] = {}
    for place, point in enumerate(ring):
        if point in places:
            return f"points {places[point]} and {place} are the same; a ring passes each point once and is not closed"
        places[point] = place
    return _Sweep(ring).fault()


def _turn(a: P, b: P, c: P) -> int:
    """Above 0 where c lies to the left of the line from a to b, 0 on it."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


class _Sweep:
    """Points from left to right, and the edges over the present one from below to above.

    Edge i leads from point i to the next. Equal x are told apart by y, as if the plane leaned a little, so upright
    edges are no special case.
    """

    def __init__(self, ring: Sequence[P]) -> None:
        self.ring = ring
        size = len(ring)
        ends = [(ring[i], ring[(i + 1) % size]) for i in range(size)]
        self.left = [min(pair) for pair in ends]
        self.right = [max(pair) for pair in ends]
        self.over: list[int] = []

    def fault(self) -> str | None:
        size = len(self.ring)
        for place in sorted(range(size), key=self.ring.__getitem__):
            point, before = self.ring[place], (place - 1) % size
            starts = [edge for edge in (before, place) if self.left[edge] == point]
            found = self._pass(point, starts, [edge for edge in (before, place) if edge not in starts])
            if found is not None:
                one, two = sorted(found)
                return f"the edge after point {one} meets the edge after point {two}; draw a ring that does not"
        return None

    def _pass(self, point: P, starts: list[int], ends: list[int]) -> tuple[int, int] | None:
        """Takes the edges that end at a point out and those that start in; the first pair that meets."""
        at = self._place(point)
        if self.over[at : at + len(ends)] != ends:  # something lies between, or over the end of an edge
            ends.reverse()
            if self.over[at : at + len(ends)] != ends:
                return (ends[0], self._stranger(at, ends))
        behind = at + len(ends)
        if behind < len(self.over) and self._side(self.over[behind], point) == 0:
            return (self.over[behind], (ends + starts)[0])
        if len(starts) == 2:  # noqa: PLR2004  # of the two edges of a point
            turn = self._side(starts[0], self.right[starts[1]])
            if turn == 0:
                return (starts[0], starts[1])
            if turn < 0:
                starts.reverse()
        self.over[at:behind] = starts
        last = at + len(starts)
        pairs = ((at - 1, at), (last - 1, last)) if starts else ((at - 1, at),)
        for low, high in pairs:
            if low >= 0 and high < len(self.over) and self._meet(self.over[low], self.over[high]):
                return (self.over[low], self.over[high])
        return None

    def _stranger(self, at: int, ends: list[int]) -> int:
        near = [edge for edge in self.over[max(at - 1, 0) : at + 3] if edge not in ends]
        return near[0] if near else ends[-1]

    def _place(self, point: P) -> int:
        """The first edge over the sweep that does not pass below a point."""
        low, high, (x, y) = 0, len(self.over), point
        left, right, over = self.left, self.right, self.over
        while low < high:
            middle = (low + high) // 2
            (ax, ay), (bx, by) = left[over[middle]], right[over[middle]]
            if (bx - ax) * (y - ay) > (by - ay) * (x - ax):
                low = middle + 1
            else:
                high = middle
        return low

    def _side(self, edge: int, point: P) -> int:
        """Above 0 for a point over an edge."""
        return _turn(self.left[edge], self.right[edge], point)

    def _meet(self, one: int, two: int) -> bool:
        """Whether two edges have a point in common beside an end that both have."""
        a, b, c, d = self.left[one], self.right[one], self.left[two], self.right[two]
        shared = {a, b} & {c, d}
        sides = (_turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b))
        if shared:  # neighbours in the ring: they overlap or nothing
            (joint,) = shared if len(shared) == 1 else (a,)
            others = [end for end in (a, b, c, d) if end != joint]
            return sides == (0, 0, 0, 0) and (others[0] < joint) == (others[1] < joint)
        apart = [(s > 0) - (s < 0) for s in sides]
        if apart[0] * apart[1] < 0 and apart[2] * apart[3] < 0:
            return True
        inside = ((0, c, a, b), (1, d, a, b), (2, a, c, d), (3, b, c, d))
        return any(sides[place] == 0 and low <= point <= high for place, point, low, high in inside)
