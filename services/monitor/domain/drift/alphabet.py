"""The finite alphabet of a detector: the frequent symbols of its reference, `other` for its rare ones, and `unseen`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

OTHER, UNSEEN = "(other)", "(unseen)"
RARE = 0.005
MAX_NAMED = 40


@dataclass(frozen=True)
class Alphabet:
    """Codes of symbols: those of `named` in order, then `other` where there is any, then `unseen`.

    Attributes:
        named: symbols with a code of their own.
        rare: symbols that share the code of `other`.
    """

    named: tuple[str, ...]
    rare: tuple[str, ...] = ()

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> "Alphabet":
        """The alphabet of a reference: what makes half a percent of it or more, 40 symbols at most, has a code."""
        total = sum(counts.values())
        ranked = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))
        named = [symbol for symbol in ranked[:MAX_NAMED] if counts[symbol] >= RARE * total]
        return cls(tuple(named), tuple(sorted(set(ranked) - set(named))))

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.named, *((OTHER,) if self.rare else ()), UNSEEN)

    @property
    def size(self) -> int:
        return len(self.named) + bool(self.rare) + 1

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {symbol: code for code, symbol in enumerate(self.named)} | dict.fromkeys(self.rare, len(self.named))

    def encoded(self, symbols: Sequence[str]) -> NDArray[np.uint8]:
        """(symbols,) their codes; fast where all of them are known."""
        if len(symbols) > 1:  # of one, itemgetter gives no tuple
            try:
                return np.frombuffer(bytes(itemgetter(*symbols)(self._codes)), np.uint8)
            except KeyError:  # looked for by name below
                pass
        return np.array(self.codes(symbols), dtype=np.uint8)

    def codes(self, symbols: Iterable[str]) -> list[int]:
        known, unseen = self._codes, self.size - 1
        return [known.get(symbol, unseen) for symbol in symbols]
