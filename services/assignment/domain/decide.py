"""Decisions about an item: each is made once, when what it needs is first known, and is a fact from then on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.assignment.domain.aggregate import Aggregate, Round, Wish
from services.assignment.domain.annotations import Pinned, exhausted
from services.assignment.domain.draws import Draws
from services.assignment.domain.facts import Escalated, Fact
from services.assignment.domain.fold import advance, fold
from services.assignment.domain.lanes import lane_of
from services.assignment.domain.narrowing import to_experts
from services.assignment.domain.priority import USUAL, Confusions, Standpoint, priority
from services.assignment.domain.renaming import renamed_by_model
from services.assignment.domain.routing import Routing, Standing, Way, accept, route
from services.assignment.domain.spread import Surroundings
from services.assignment.domain.states import REFUSED, ROUTE_OF_ENDING, Ending
from shared.events import (
    Annotation,
    Audience,
    CostModel,
    Label,
    Path,
    Policy,
    Route,
    RouteState,
    unchecked,
)
from shared.labels import SAME, Names

MAX_ROUNDS = 3
"""A relabel request opens no round beyond this one; rounds that nobody is asked in are not counted."""
LAST_ROUND = 60
"""Nor does a rename or a revision open one beyond this."""
FIRST_LOOK = Wish(0.0, "")
"""What a first round is asked for."""
Said = Label | Route | Annotation
Emitted = tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Context:
    """The project as it stands now; a round that opens pins it.

    Attributes:
        slices: their policies, by name.
        confusions: of the project's people.
        around: what this replica queued lately; None: nothing is known of it.
    """

    policy: Policy
    cost: CostModel
    project_version: int
    guideline_version: int
    now: datetime
    standing: Standing | None = None
    slices: Mapping[str, Policy] = field(default_factory=dict)
    confusions: Confusions = field(default_factory=dict)
    around: Surroundings | None = None
    names: Names = SAME

    def policy_of(self, known: Aggregate) -> Policy:
        """The policy of an item."""
        return self.slices.get(known.slice, self.policy) if known.slice is not None else self.policy

    def slice_of(self, known: Aggregate) -> str | None:
        """The item's slice, where the project still has it."""
        return known.slice if known.slice in self.slices else None

    def place(self, known: Aggregate, draws: Draws, spread: float) -> Standpoint:
        """What the item is ordered by."""
        return Standpoint(self.policy_of(known).order, draws, self.confusions, spread)


def step(known: Aggregate, fact: Fact, context: Context, draws: Draws) -> tuple[Aggregate, Emitted]:
    """Fold one fact and make the decisions that it allows."""
    after = fold(known, fact)
    if after.erased:
        return after, ()
    said: list[Said] = []
    if isinstance(fact, Escalated):
        after, told = _tell_escalation(known, after, fact, context)
        said += told
    after, decided = decide(after, context, draws)
    return after, (*said, *decided)


def decide(known: Aggregate, context: Context, draws: Draws, *, overdue: bool = False) -> tuple[Aggregate, Emitted]:
    """Every decision that is due now; none for an item that has not come, or that was erased.

    With `overdue` the item is routed without a prediction, which did not come in time.
    """
    if known.content_hash is None or known.erased:
        return known, ()
    known = _named(known, context)
    if known.round == 0:
        if known.guess is None and not overdue:
            return known, ()
        known, said = _open_first(known, context, draws)
    else:
        known, said = _reconsider(known, context, draws)
    while not known.open and known.round in known.relabels:  # a label that nobody is asked for may be asked for again
        known, more = _granted(known, known.relabels[known.round], context, draws)
        if not more:
            break
        said = (*said, *more)
    return known, said


def may_doubt(known: Aggregate) -> bool:
    """Whether people may be asked about the latest round's label again."""
    renames = sum(wish.renamed for wish in known.relabels.values())
    return not known.bare and known.round < MAX_ROUNDS + renames


def _granted(known: Aggregate, wish: Wish, context: Context, draws: Draws) -> tuple[Aggregate, Emitted]:
    """The next round, where a request of the latest label opens it; a doubt does a rename and a revision, too."""
    if wish.doubt and may_doubt(known):
        why = f"relabel: {wish.reason}"
        return reopen(known, context, draws, why, wish)
    by_model = known.guess is not None and known.guess.label is not None
    if known.label_version == known.round < LAST_ROUND and (wish.rename or (wish.revise and not by_model)):
        return renamed_by_model(known, wish, context) if by_model else _unasked(known, wish, context, draws)
    return known, ()


def _unasked(known: Aggregate, wish: Wish, context: Context, draws: Draws) -> tuple[Aggregate, Emitted]:
    """A round that nobody is asked in: qc ends it with the label of before under present names, or by what it knows."""
    told = {**known.relabels, known.round: replace(wish, renamed=True)}
    known = advance(known, known.round + 1, Ending.OPEN)._replace(relabels=told)
    asked = replace(_round(known, context, draws, Routing(Way.PEOPLE, wish.reason[:2000])), wanted=0, exhausted=True)
    known = known._replace(asked=asked)
    pinned = Pinned(
        context.policy_of(known),
        context.project_version,
        context.guideline_version,
        asked.item_created_at or context.now,
    )
    return known, (_queued(known, context.now), exhausted(asked, pinned, context.now, renaming=wish.rename))


def _named(known: Aggregate, context: Context) -> Aggregate:
    """The prediction in present names."""
    if not context.names or known.guess is None:
        return known
    return known._replace(guess=known.guess.named(context.names))


def supersede(known: Aggregate, context: Context, draws: Draws, reason: str) -> tuple[Aggregate, Emitted]:
    """Close an open round whose answers would no longer fit the project, and open the next."""
    if known.asked is None or not known.open:
        return known, ()
    before = known.asked
    closed, told = close(_named(known, context), Ending.SUPERSEDED, reason, context.now)
    asked_for = known.relabels.get(before.number - 1, FIRST_LOOK)
    wish = Wish(before.urgency, reason, before.excluded, expert=asked_for.expert)
    reopened, said = reopen(closed, context, draws, reason, wish)
    return reopened, (*told, *said)


def reopen(known: Aggregate, context: Context, draws: Draws, reason: str, wish: Wish) -> tuple[Aggregate, Emitted]:
    """Open the round after the latest one. It goes to people, whatever the model thinks."""
    known = advance(known, known.round + 1, Ending.OPEN)
    routing = Routing(Way.PEOPLE, reason[:2000])
    known = known._replace(asked=_round(known, context, draws, routing, wish))
    return known, (_queued(known, context.now),)


def certified(known: Aggregate, context: Context, draws: Draws) -> tuple[Aggregate, Emitted]:
    """Accept the proposal of a first round that nobody has begun, where a certificate given since covers it.

    What chance has sent to people blind stays theirs.
    """
    asked, guess = known.asked, known.guess
    if asked is None or guess is None or not known.open or asked.number > 1 or asked.would_auto:
        return known, ()
    if asked.granted > 0 or asked.exhausted or (asked.guess is not None and guess.order != asked.guess.order):
        return known, ()
    routing = accept(guess, context.policy_of(known), draws, context.standing, context.now)
    if routing is None or routing.way is not Way.AUTO:
        return known, ()
    return _label(known, context, routing, "; certified while it waited")


def sample_out(known: Aggregate, context: Context, draws: Draws) -> tuple[Aggregate, Emitted]:
    """Close a first round that no cycle's budget chose, where still nobody has begun it."""
    asked, budget = known.asked, context.policy.budget
    untouched = asked is not None and known.open and asked.granted == 0 and asked.number == 1 and not asked.would_auto
    if asked is None or budget is None or not untouched or asked.audience is not Audience.ANNOTATOR:
        return known, ()
    reason = f"begun by nobody within {budget.kept_s:g} s: others were worth more to the model"
    order = context.policy_of(known).order
    if order is not None and 0.0 < order.explore <= draws.explore:
        reason = f"{reason}; not among the explored {order.explore:g}"
        known = known._replace(asked=replace(asked, inclusion=asked.inclusion * order.explore))
    return close(known, Ending.SAMPLED_OUT, reason, context.now)


def close(known: Aggregate, ending: Ending, reason: str, now: datetime, *, told: int = 0) -> tuple[Aggregate, Emitted]:
    """End the latest round without a label; `told`: the routes published of a round that nobody was asked in."""
    before = known.asked or Round(
        known.project_id, known.item_id, known.round, step=told, item_created_at=known.created_at
    )
    asked = replace(before, step=before.step + 1, reason=reason, ended=True)
    known = advance(known, known.round, ending)._replace(asked=asked)
    return known, (route_event(asked, ROUTE_OF_ENDING[ending], now),)


def route_event(asked: Round, state: RouteState, now: datetime) -> Route:
    """The route that says what the round has just become; `asked.step` and `asked.reason` are already the new ones."""
    guess = asked.guess
    return Route(
        project_id=asked.project_id,
        item_id=asked.item_id,
        round=asked.number,
        step=asked.step,
        state=state,
        reason=asked.reason[:2000],
        slice=asked.slice,
        lane=asked.queue if ":" in asked.queue else None,
        audience=asked.audience if state in (RouteState.QUEUED, RouteState.BLOCKED) else None,
        opinions_wanted=asked.wanted,
        would_auto=asked.would_auto,
        inclusion_probability=asked.inclusion,
        priority=asked.priority,
        model_version=guess.model_version if guess is not None else None,
        generation=guess.generation if guess is not None else 0,
        proposal=asked.refused if state in REFUSED else None,
        project_version=asked.project_version,
        guideline_version=asked.guideline_version,
        item_created_at=asked.item_created_at or now,
        routed_at=now,
    )


def _open_first(known: Aggregate, context: Context, draws: Draws) -> tuple[Aggregate, Emitted]:
    routing = route(known.guess, context.policy_of(known), draws, context.standing, context.now)
    if routing.way is Way.AUTO:
        return _label(known, context, routing)
    known = advance(known, 1, Ending.OPEN)
    asked = _round(known, context, draws, routing)
    if routing.way is Way.SAMPLED_OUT:
        said = route_event(asked, RouteState.SAMPLED_OUT, context.now)
        return advance(known, 1, Ending.SAMPLED_OUT), (said,)
    known = known._replace(asked=asked)
    return known, (_queued(known, context.now),)


def _reconsider(known: Aggregate, context: Context, draws: Draws) -> tuple[Aggregate, Emitted]:
    """A better prediction of an open round: a new place in the queue; while nobody has seen it, maybe its end."""
    asked = known.asked
    if asked is None or not known.open:
        return known, ()
    place = context.place(known, draws, asked.spread)
    asked = _urged(known, asked, (place.order or USUAL).urgency)
    known = known._replace(asked=asked)
    hard = known.relabels.get(asked.number - 1, FIRST_LOOK).expert
    if hard and asked.audience is Audience.ANNOTATOR and not asked.exhausted:
        return _for_experts(known, asked, context)
    guess = known.guess
    if guess is None or (asked.guess is not None and guess.order <= asked.guess.order):
        return known, ()
    created_at = known.created_at or context.now
    score = priority(guess, created_at, urgency=asked.urgency, audit=asked.would_auto, at=place)
    if asked.granted > 0 or asked.exhausted:
        return known._replace(asked=replace(asked, priority=score)), ()
    read_back = asked.guess is None and guess.generation <= asked.generation
    generation = max(asked.generation, guess.generation)
    asked = replace(asked, guess=guess, generation=generation, priority=score, likely=guess.likely)
    known = known._replace(asked=asked)
    if asked.number > 1 or asked.would_auto or read_back:
        return known, ()
    routing = accept(guess, context.policy_of(known), draws, context.standing, context.now)
    if routing is None:
        return known, ()
    if routing.way is Way.AUTO:
        return _label(known, context, routing, "; a later model")
    asked = replace(
        asked,
        step=asked.step + 1,
        reason=routing.reason,
        would_auto=True,
        inclusion=asked.inclusion * routing.inclusion,
        priority=priority(guess, created_at, urgency=asked.urgency, audit=True, at=place),
    )
    known = known._replace(asked=asked)
    return known, (_queued(known, context.now),)


def _for_experts(known: Aggregate, asked: Round, context: Context) -> tuple[Aggregate, Emitted]:
    """A request that came while its round is already open takes it to the experts."""
    reason = f"relabel: {known.relabels[asked.number - 1].reason}"[:2000]
    asked = replace(asked, audience=Audience.EXPERT, step=asked.step + 1, reason=reason, blocked_at=None)
    known = known._replace(asked=to_experts(asked, context.policy_of(known), known.language, context.now))
    return known, (_queued(known, context.now),)


def _urged(known: Aggregate, asked: Round, weight: float) -> Round:
    """A relabel request that came while its round is already open makes it more urgent."""
    wish = known.relabels.get(asked.number - 1)
    if wish is None or (wish.urgency <= asked.urgency and wish.excluded <= asked.excluded):
        return asked
    urgency = max(asked.urgency, wish.urgency)
    score = asked.priority + weight * (urgency - asked.urgency)
    return replace(asked, urgency=urgency, priority=score, excluded=asked.excluded | wish.excluded)


def _tell_escalation(
    known: Aggregate, after: Aggregate, fact: Escalated, context: Context
) -> tuple[Aggregate, Emitted]:
    """Publish what an escalation changed, if it changed anything."""
    asked = after.asked
    if after.round != fact.round:
        return after, ()
    if not after.open:
        if (after.round, after.ending) == (known.round, known.ending):
            return after, ()
        return close(after, after.ending, fact.reason, context.now, told=int(known.round == after.round))
    before = known.asked
    if asked is None or (before is not None and (before.wanted, before.audience) == (asked.wanted, asked.audience)):
        return after, ()
    asked = replace(
        asked,
        step=asked.step + 1,
        reason=fact.reason,
        blocked_at=None,
        project_version=asked.project_version or context.project_version,
        guideline_version=asked.guideline_version or context.guideline_version,
    )
    if asked.audience is Audience.EXPERT and (before is None or before.audience is not Audience.EXPERT):
        asked = to_experts(asked, context.policy_of(after), after.language, context.now)
    after = after._replace(asked=asked)
    return after, (_queued(after, context.now),)


def _round(known: Aggregate, context: Context, draws: Draws, routing: Routing, wish: Wish = FIRST_LOOK) -> Round:
    created_at = known.created_at or context.now
    policy = context.policy_of(known)
    spread = 0.0
    if context.around is not None and known.round == 1 and routing.way is Way.PEOPLE:
        spread = context.around.spread(known.key, known.likeness, policy.order)
    place = context.place(known, draws, spread)
    asked = Round(
        known.project_id,
        known.item_id,
        known.round,
        audience=Audience.EXPERT if wish.expert else Audience.ANNOTATOR,
        wanted=min(wish.opinions, policy.overlap.max) or policy.overlap.min,
        step=1,
        reason=routing.reason,
        priority=priority(known.guess, created_at, urgency=wish.urgency, audit=routing.would_auto, at=place),
        urgency=wish.urgency,
        would_auto=routing.would_auto,
        inclusion=routing.inclusion,
        excluded=wish.excluded,
        guess=known.guess,
        generation=known.guess.generation if known.guess is not None else -1,
        project_version=context.project_version,
        guideline_version=context.guideline_version,
        item_created_at=created_at,
        slice=context.slice_of(known),
        likely=known.guess.likely if known.guess is not None else None,
        spread=spread,
        lane=lane_of(policy, known.language),
    )
    return to_experts(asked, policy, known.language, context.now) if wish.expert else asked


def _queued(known: Aggregate, now: datetime) -> Route:
    if known.asked is None:
        raise ValueError("a queued item has a round")
    return route_event(known.asked, RouteState.QUEUED, now)


def _label(known: Aggregate, context: Context, routing: Routing, when: str = "") -> tuple[Aggregate, Emitted]:
    """Accept the proposal: the label of round 1."""
    known = _named(known, context)
    guess = known.guess
    if guess is None or guess.value is None:
        raise ValueError("only a proposal can be accepted")
    label = unchecked(
        Label,
        project_id=known.project_id,
        item_id=known.item_id,
        version=1,
        value=guess.value,
        path=Path.AUTO,
        evidence=routing.evidence(guess, when),
        opinions=0,
        cost=context.cost.prediction,
        project_version=context.project_version,
        guideline_version=context.guideline_version,
        item_created_at=known.created_at or context.now,
        labelled_at=context.now,
    )
    asked = None if known.asked is None else replace(known.asked, ended=True)
    accepted = replace(guess, label=guess.value)
    return known._replace(round=1, ending=Ending.LABELLED, label_version=1, asked=asked, guess=accepted), (label,)
