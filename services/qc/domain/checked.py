"""Posteriors beside what is known to be true: by gold, and by experts.

A gold item has no round, so its label is made here as a round's would be: its answers in the order of arrival, until
the project's target or maximum. Where an expert decided, it is what the people before would have said; experts see the
items that people could not settle, so that figure is of the hardest.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from services.qc.domain.calibration import reliability
from services.qc.domain.consensus import Opinion, posterior
from services.qc.domain.counts import Parameters
from services.qc.domain.models import Method
from services.qc.domain.refresh import Given
from services.qc.domain.scale import Kind, Scale
from shared.events import Calibration, Policy, ReliabilityBin

LABELS_AT_LEAST = 20
DIGITS = 6
TWO = 2


def _by_item(given: Sequence[Given]) -> dict[str, list[Given]]:
    """One answer by one person to an item, in the order of arrival."""
    found: dict[str, dict[str, Given]] = {}
    for one in sorted(given, key=lambda each: each.seq):
        found.setdefault(one.item_id, {}).setdefault(one.annotator_id, one)
    return {item: list(several.values()) for item, several in found.items()}


def _told(
    answers: Sequence[Given], scale: Scale, parameters: Parameters, policy: Policy, *, stop: bool
) -> tuple[str, float] | None:
    """The label and its posterior; None for fewer than two answers."""
    method, best = Method(policy.consensus.method), None
    most = policy.overlap.max if stop else len(answers)
    for number in range(TWO, min(most, len(answers)) + 1):
        if stop and number < policy.overlap.min:
            continue
        opinions = [Opinion(one.annotator_id, one.symbol) for one in answers[:number]]
        shares = posterior(opinions, scale, parameters, method)
        label = max(sorted({one.symbol for one in answers[:number]}), key=lambda name: shares.get(name, 0.0))
        best = label, min(shares.get(label, 0.0), 1.0)
        if stop and best[1] >= policy.target_posterior:
            break
    return best


def calibration(
    given: Sequence[Given],
    truth: Mapping[str, str],
    scale: Scale,
    parameters: Parameters,
    policy: Policy,
    *,
    against: str,
) -> Calibration | None:
    """How the posteriors of labels compare with how often they are right.

    Args:
        given: answers to the items whose truth is known.
        truth: item -> symbol.
        scale: of the project; on a numeric one there are no posteriors.
        parameters: the newest snapshot.
        policy: of the project.
        against: gold, whose items are stopped as rounds are; or expert, with all that the people said before.

    Returns:
        None for fewer than 20 labels.
    """
    if scale.kind in (Kind.NUMERIC, Kind.FUSED):
        return None
    labels = [
        (truth[item], told)
        for item, answers in sorted(_by_item(given).items())
        if item in truth and (told := _told(answers, scale, parameters, policy, stop=against == "gold")) is not None
    ]
    if len(labels) < LABELS_AT_LEAST:
        return None
    shares = np.array([told[1] for _, told in labels])
    right = np.array([told[0] == known for known, told in labels])
    found = reliability(shares, right)
    if found is None:
        return None
    return Calibration(
        against=against,
        error=round(found.error, DIGITS),
        labels=len(labels),
        accuracy=round(float(right.mean()), DIGITS),
        bins=tuple(
            ReliabilityBin(labels=one.labels, posterior=min(round(one.posterior, DIGITS), 1.0), accuracy=one.accuracy)
            for one in found.bins
        ),
    )
