"""Semantic masks of one item: the class of every pixel, and how sure each class is of its pixels."""

from collections.abc import Sequence

import numpy as np

from services.qc.domain.answers import Floats
from services.qc.domain.fusing.counted import NO, PIXELS, YES, Counted, weight
from services.qc.domain.fusing.outcome import LeftOut, Part
from services.qc.domain.kinds import semantic
from services.qc.domain.kinds.clusters import Answer, Drawn
from services.qc.domain.kinds.runs import Runs, tidy
from services.qc.domain.kinds.semantic import ANCHOR, CROWD_ITEMS, OWN_ITEMS


def accuracy_of(who: str, counted: Counted) -> float:
    """Of disputed pixels, shrunk to the crowd's."""
    right, wrong = weight(counted.crowd, PIXELS, YES), weight(counted.crowd, PIXELS, NO)
    crowd = (right + CROWD_ITEMS * ANCHOR) / (right + wrong + CROWD_ITEMS)
    own = counted.own(who)
    right, wrong = weight(own, PIXELS, YES), weight(own, PIXELS, NO)
    return (right + OWN_ITEMS * crowd) / (right + wrong + OWN_ITEMS)


def fused(
    answers: Sequence[Answer[Runs]], counted: Counted, classes: Sequence[str]
) -> tuple[list[Drawn[Runs]], list[Part], list[LeftOut]]:
    """One mask for each class that has a pixel; and of each class that anybody gave, how sure its pixels are.

    That is the mean chance that a pixel which anybody gave this class has it, or has it not, as the label says. Where
    two or more agree nothing is disputed, and people's accuracy there is not known: it counts as sure.
    """
    found = semantic.picture(answers, classes)
    if found is None:
        return [], [], []
    shares = semantic.posterior(found, np.array([accuracy_of(one.annotator, counted) for one in answers]))
    best, pixels = shares.argmax(axis=1), np.diff(found.edges)
    masks: list[Drawn[Runs]] = []
    parts: list[Part] = []
    left: list[LeftOut] = []
    for place, name in enumerate(classes[: shares.shape[1] - 1], 1):
        said = found.said == place
        claimed, votes = said.any(axis=1), int(said.any(axis=0).sum())
        if not claimed.any():
            continue
        won, share = best == place, shares[:, place]
        if len(answers) > 1:
            share = np.where(found.disputed > 0.0, share, won)
        sure = float(pixels[claimed] @ np.where(won, share, 1.0 - share)[claimed] / pixels[claimed].sum())
        mask = tidy(found.edges[:-1][won], found.edges[1:][won], found.height, found.width)
        if len(mask.starts):
            parts.append(Part(len(masks), sure, votes=votes))
            masks.append(Drawn(mask, name))
        else:
            left.append(LeftOut(1.0 - sure, votes))
    return masks, parts, left


def right_share(label: Sequence[Drawn[Runs]], answers: Sequence[Answer[Runs]]) -> list[float] | None:
    """Of each answer, the share of disputed pixels that have the label's class; None where nothing is disputed."""
    names = sorted({one.label for one in label} | {one.label for each in answers for one in each.objects})
    found = semantic.picture([Answer("", tuple(label)), *answers], names)
    if found is None:
        return None
    said = found.said[:, 1:]
    disputed = np.diff(found.edges) * (said != said[:, :1]).any(axis=1)
    if not disputed.any():
        return None
    right: Floats = disputed @ (said == found.said[:, :1]) / disputed.sum()
    return [float(each) for each in right]
