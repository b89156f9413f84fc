"""Transcripts of one item: words in slots, each with the chance that it is right."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.fusing.counted import NO, WORDS, YES, Counted, weight
from services.qc.domain.fusing.outcome import Fusion, Part
from services.qc.domain.kinds.kind import Given
from services.qc.domain.kinds.transcripts import CROWD_WORDS, ERROR, LEAST_ERROR, OWN_WORDS, aligned, spelled
from shared.labels import Transcript

SAME_ERROR = 0.1
"""P(two who misheard a word wrote the same)."""
NOWHERE = 1e-3
"""P(a word is one that nobody wrote), before any was looked at."""


def error_of(who: str, counted: Counted) -> float:
    """An annotator's word error rate, shrunk to the crowd's, which is anchored."""
    right, wrong = weight(counted.crowd, WORDS, YES), weight(counted.crowd, WORDS, NO)
    crowd = (wrong + CROWD_WORDS * ERROR) / (right + wrong + CROWD_WORDS)
    own = counted.own(who)
    right, wrong = weight(own, WORDS, YES), weight(own, WORDS, NO)
    return min(max((wrong + OWN_WORDS * crowd) / (right + wrong + OWN_WORDS), LEAST_ERROR), 0.9)


def fuse(answers: Sequence[Given[Transcript]], counted: Counted) -> Fusion:
    """The words by weighted vote, as offline; their chances by the annotators' error rates."""
    lines = aligned(answers)
    rates = np.array([error_of(who, counted) for who in lines.annotators])
    text, votes = spelled(lines, 1.0 / rates)
    parts, doubts, place = [], [], 0
    for slot, key in zip(lines.slots, votes, strict=True):
        sure = word_posterior(slot.by, key, rates)
        if key:
            parts.append(Part(place, sure, votes=slot.votes[key]))
            place += 1
        else:
            doubts.append((sure, "a word that some wrote is left out"))
    lone = 1.0 if len(answers) > 1 else float(1.0 - rates.max(initial=0.0))
    return Fusion(text, tuple(parts), doubts=tuple(doubts), lone=lone)


def word_posterior(said: Sequence[str], key: str, rates: Floats) -> float:
    """P(the word of a slot is this one | what everybody has there); nothing is a word like others."""
    scores: dict[str | None, float] = defaultdict(float)
    words = {*said}
    for who, each in zip(rates.tolist(), said, strict=True):
        for word in words:
            scores[word] += np.log(1.0 - who if word == each else who * SAME_ERROR)
        scores[None] += np.log(who * SAME_ERROR)
    scores[None] += np.log(NOWHERE)
    top = max(scores.values())
    shares = {word: float(np.exp(score - top)) for word, score in scores.items()}
    return shares[key] / sum(shares.values())
