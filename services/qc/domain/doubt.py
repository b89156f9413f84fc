"""Labels that a later snapshot no longer believes.

A label is given when the posterior reaches the target, or further opinions promise less than the policy's regret, under
what was known of its people then. What is learned of them later may leave it short; it is asked for again while it may
have more opinions. On recorded crowds those opinions are better spent than the same number by a higher target (27).
Where it may have none, and its opinions speak for another class by now, it is revised: given anew, by nobody (105).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import groupby
from operator import attrgetter, itemgetter

from services.qc.domain.consensus import Opinion, posterior, settled
from services.qc.domain.counts import Parameters
from services.qc.domain.item import ItemState, Reached
from services.qc.domain.models import Method
from services.qc.domain.refresh import Given
from services.qc.domain.rereview import still_fits
from services.qc.domain.rounds import Round, Touched, round_of
from services.qc.domain.scale import Kind, Scale, symbol_of
from services.qc.domain.stopping import Verdict, decide, forgone, pays
from shared.events import Audience, CostModel, Path, Policy

SLACK = 1.1
"""How many times the error that the target allows a label may have: none is asked for again for a rounding."""
PATIENCE = 3.0
"""How many times the regret a label may have: what is asked for again begins a round, which is dear (102)."""
MAX_ROUNDS = 3
"""The last round that assignment opens for a request."""
LAST_REVISION = 12
"""The last version that is revised: what two snapshots cannot agree on is left as it is."""
LEAD = 0.05
"""By how much another class must be likelier for a label to be revised, so that none changes to and fro."""


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
class Revision:
    """A label that nobody can be asked about, and another is likelier now: posteriors of its value and of that one."""

    version: int
    posterior: float
    other: float


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
    label, reached = item.label, _reached(item)
    if label is None or reached is None or label.version >= MAX_ROUNDS or reached.snapshot <= at.since:
        return None
    current = _next_round(item, at, prediction)
    if current is None or _nobody_left(item, at) or current.taken >= reached.most:
        return None
    method = Method(at.policy.consensus.method)
    shares = posterior(current.model_opinions(), at.scale, at.parameters, method, current.prediction)
    found = Doubt(label.version, reached, min(shares.get(label.symbol, 0.0), 1.0))
    overlap = at.policy.overlap.model_copy(update={"min": 1, "max": reached.most})
    policy = at.policy.model_copy(update={"overlap": overlap})
    if not _falls_short(shares, label.symbol, reached, at, taken=current.taken):
        return None
    return found if pays(current, policy, shares, at.scale, parameters=at.parameters, costs=at.costs) else None


def _reached(item: ItemState) -> Reached | None:
    """How the label of an item reached the target, where it did by what this database knew."""
    record = None if item.label is None else item.rounds.get(item.label.version)
    return None if record is None else record.reached


def _nobody_left(item: ItemState, at: Standpoint) -> bool:
    return at.people <= {answer.annotator_id for answer in item.answers.values()} | at.excluded


def _next_round(item: ItemState, at: Standpoint, prediction: Mapping[str, float] | None) -> Round | None:
    """The round after the label's, with the opinions that would count in it.

    None where there is one already, where no opinion counts any more, or where the label is not annotators' alone.
    """
    label = item.label
    if label is None or label.path not in (Path.SINGLE, Path.CONSENSUS) or item.erased:
        return None
    number = label.version + 1
    if _later(item, number):
        return None
    current = round_of(
        item, number, guideline=at.guideline, touched=at.touched, excluded=at.excluded, prediction=prediction
    )
    kept = tuple(answer for answer in current.earlier if still_fits(answer, at.scale))
    if not kept or any(answer.role is Audience.EXPERT for answer in kept):
        return None
    return replace(current, earlier=kept, pooled=True)


def revised(item: ItemState, at: Standpoint, prediction: Mapping[str, float] | None = None) -> Revision | None:
    """The label of an item, where it is to be given anew by the newest snapshot.

    It cannot be doubted: its rounds or opinions are used up, nobody else is there, or it never reached the target. By
    the rules that gave it another class is clearly likelier now. Arguments as of `doubted`.
    """
    label, reached = item.label, _reached(item)
    current = _next_round(item, at, prediction)
    if label is None or current is None or label.version >= LAST_REVISION or not _revises(at):
        return None
    may_ask = reached is not None and label.version < MAX_ROUNDS and current.taken < reached.most
    if may_ask and not _nobody_left(item, at):
        return None
    decided = decide(replace(current, exhausted=True), at.policy, at.scale, at.parameters, salt="", costs=at.costs)
    if not isinstance(decided, Verdict) or decided.distribution is None:
        return None
    symbol, shares = symbol_of(decided.value), decided.distribution
    stands, other = (min(shares.get(name, 0.0), 1.0) for name in (label.symbol, symbol))
    return Revision(label.version, stands, other) if other - stands > LEAD else None


def _revises(at: Standpoint) -> bool:
    """Whether a round without anybody ends in the likeliest class, by what is known of people."""
    weighed = not Method(at.policy.consensus.method).votes
    return at.scale.kind is Kind.CLOSED and weighed and at.policy.on_unresolved == "best_posterior"


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
    """A label that may be in doubt, as the first look takes it: item, value, how it reached the target if it did."""

    item_id: str
    symbol: str
    reached: Reached | None = None
    version: int = 1


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
        reached = label.reached if label.version < MAX_ROUNDS else None
        if reached is None and _revises(at):
            told_by = settled(opinions, at.scale, at.parameters, method, prediction)
            wanted = any(max(one.values()) > one.get(label.symbol, 0.0) for one in (shares, told_by))
        else:
            wanted = reached is not None and _falls_short(shares, label.symbol, reached, at, taken=len(told))
        if wanted:
            found.append((shares.get(label.symbol, 0.0), item, prediction))
    return {item: prediction for _, item, prediction in sorted(found, key=itemgetter(0, 1))}


def chosen(doubts: Mapping[str, Doubt | Revision], most: int) -> Sequence[str]:
    """The most doubtful items, at most so many; equals by id."""
    return sorted(doubts, key=lambda item: (doubts[item].posterior, item))[:most]
