"""Labels that a later snapshot no longer believes.

A label is given when the posterior reaches the target, or further opinions promise less than the policy's regret, under
what was known of its people then. What is learned of them later may leave it short; it is asked for again while it may
have more opinions. On recorded crowds those opinions are better spent than the same number by a higher target (27).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import groupby
from operator import attrgetter, itemgetter

from services.qc.domain.consensus import Opinion, posterior
from services.qc.domain.counts import Parameters
from services.qc.domain.item import ItemState, Reached
from services.qc.domain.models import Method
from services.qc.domain.refresh import Given
from services.qc.domain.rereview import still_fits
from services.qc.domain.rounds import Touched, round_of
from services.qc.domain.scale import Scale
from services.qc.domain.stopping import forgone, pays
from shared.events import Audience, CostModel, Path, Policy

SLACK = 1.1
"""How many times the error that the target allows a label may have: none is asked for again for a rounding."""
PATIENCE = 3.0
"""How many times the regret a label may have: what is asked for again begins a round, which is dear (102)."""
MAX_ROUNDS = 3
"""The last round that assignment opens for a request."""


def in_doubt(posterior: float, target: float) -> bool:
    """Whether a label that the target once admitted falls clearly short of it now."""
    return 1.0 - posterior > SLACK * (1.0 - target)


@dataclass(frozen=True, slots=True)
class Standpoint:
    """What labels of a project are held against.

    Attributes:
        parameters: the newest snapshot.
        scale, policy, costs: of the project's current version.
        guideline, touched: the current version; what each one changed.
        excluded: people in quarantine.
        people: who answered lately, in quarantine or not.
        since: labels under this snapshot or an earlier one are left alone: a lost database decided about them.
    """

    parameters: Parameters
    scale: Scale
    policy: Policy = field(default_factory=Policy)
    costs: CostModel = field(default_factory=CostModel)
    guideline: int = 0
    touched: Touched = field(default_factory=dict)
    excluded: AbstractSet[str] = frozenset()
    people: AbstractSet[str] = frozenset()
    since: int = -1


@dataclass(frozen=True, slots=True)
class Doubt:
    """A label in doubt: its version, how it once reached the target, and the posterior of its value now."""

    version: int
    reached: Reached
    posterior: float


@dataclass(frozen=True, slots=True)
class Search:
    """How far the search of a project has come; see the table `doubts`."""

    snapshot: int = 0
    day: date | None = None
    used: int = 0

    def left(self, budget: int, today: date) -> int:
        """Requests that may still be made today."""
        return max(budget - (self.used if self.day == today else 0), 0)

    def spent(self, number: int, today: date) -> "Search":
        """After so many requests more."""
        return replace(self, day=today, used=number + (self.used if self.day == today else 0))


def doubted(item: ItemState, at: Standpoint, prediction: Mapping[str, float] | None = None) -> Doubt | None:
    """The label of an item, where it is to be asked for again.

    It reached the target by annotators' answers alone, and clearly no longer does by those that count now; the policy
    it was given under allows more, one is worth its cost, and there is somebody who could give it. No later round was
    asked for.

    Args:
        item: the label, answers and rounds.
        at: what it is held against.
        prediction: class -> probability, of the model; left out where somebody saw it.
    """
    label = item.label
    if label is None or label.path not in (Path.SINGLE, Path.CONSENSUS) or label.version >= MAX_ROUNDS or item.erased:
        return None
    record, number = item.rounds.get(label.version), label.version + 1
    reached = None if record is None else record.reached
    if reached is None or reached.snapshot <= at.since or _later(item, number):
        return None
    current = round_of(
        item, number, guideline=at.guideline, touched=at.touched, excluded=at.excluded, prediction=prediction
    )
    kept = tuple(answer for answer in current.earlier if still_fits(answer, at.scale))
    current = replace(current, earlier=kept, pooled=True)
    answered = {answer.annotator_id for answer in item.answers.values()}
    if any(answer.role is Audience.EXPERT for answer in kept) or at.people <= answered | at.excluded:
        return None
    if not 0 < current.taken < reached.most:
        return None
    method = Method(at.policy.consensus.method)
    shares = posterior(current.model_opinions(), at.scale, at.parameters, method, current.prediction)
    found = Doubt(label.version, reached, min(shares.get(label.symbol, 0.0), 1.0))
    overlap = at.policy.overlap.model_copy(update={"min": 1, "max": reached.most})
    policy = at.policy.model_copy(update={"overlap": overlap})
    if not _falls_short(shares, label.symbol, reached, at, taken=current.taken):
        return None
    return found if pays(current, policy, shares, at.scale, parameters=at.parameters, costs=at.costs) else None


def _falls_short(shares: Mapping[str, float], symbol: str, reached: Reached, at: Standpoint, *, taken: int) -> bool:
    """Whether a label that once was enough clearly is not now: by the policy's regret where it names one."""
    stands = min(shares.get(symbol, 0.0), 1.0)
    lost = forgone(at.policy, shares, at.scale, at.parameters, left=max(reached.most - taken, 0))
    if lost is None or at.policy.overlap.regret is None:
        return in_doubt(stands, reached.target)
    return max(shares.values()) - stands + lost > PATIENCE * at.policy.overlap.regret


def _later(item: ItemState, number: int) -> bool:
    return any(one >= number for one in item.rounds) or any(one.round >= number for one in item.answers.values())


@dataclass(frozen=True, slots=True)
class Standing:
    """A label that may be in doubt, as the first look takes it: its item, value, and how it reached the target."""

    item_id: str
    symbol: str
    reached: Reached


Prediction = Mapping[str, float] | None


def suspects(given: Iterable[Given], standing: Mapping[str, Standing], at: Standpoint) -> dict[str, Prediction]:
    """The items whose label the answers of the window leave in doubt, the most doubtful first; with their predictions.

    Only a first look: of an item whose answers lie behind the window in part, and of one that nobody else could answer,
    `doubted` knows better.

    Args:
        given: the newest answers of the project, grouped by item.
        standing: labels by item; others are passed over.
        at: what they are held against.
    """
    method, found = Method(at.policy.consensus.method), list[tuple[float, str, Prediction]]()
    for item, answers in groupby(given, key=attrgetter("item_id")):
        label = standing.get(item)
        if label is None:
            continue
        told = [one for one in answers if one.annotator_id not in at.excluded]
        said = next((one.predicted for one in told if one.predicted), None) if all(o.blind for o in told) else None
        prediction = None if said is None else json.loads(said)
        opinions = [Opinion(one.annotator_id, one.symbol) for one in told]
        shares = posterior(opinions, at.scale, at.parameters, method, prediction)
        if _falls_short(shares, label.symbol, label.reached, at, taken=len(told)):
            found.append((shares.get(label.symbol, 0.0), item, prediction))
    return {item: prediction for _, item, prediction in sorted(found, key=itemgetter(0, 1))}


def chosen(doubts: Mapping[str, Doubt], most: int) -> Sequence[str]:
    """The most doubtful items, at most so many; equals by id."""
    return sorted(doubts, key=lambda item: (doubts[item].posterior, item))[:most]
