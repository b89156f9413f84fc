"""Facts into aggregates. Each branch is a join: commutative over topics, and a repeat changes nothing."""

from dataclasses import replace

from services.assignment.domain.aggregate import ERASED_CONTENT, Aggregate, Round, Wish
from services.assignment.domain.facts import (
    Escalated,
    Fact,
    ItemSeen,
    Labelled,
    Opined,
    Predicted,
    Relabelled,
    Routed,
)
from services.assignment.domain.guess import Guess, newest
from services.assignment.domain.lanes import PLAIN
from services.assignment.domain.states import ENDING_OF_ASK, ENDING_OF_ROUTE, Ending
from shared.events import Ask, Audience, Outcome


def fold(known: Aggregate, fact: Fact) -> Aggregate:
    """Take one fact in; an erased item takes in nothing but that it came."""
    if known.erased:
        came = isinstance(fact, ItemSeen) or known.content_hash is not None
        return known._replace(content_hash=ERASED_CONTENT if came else None)
    match fact:
        case ItemSeen():
            return _item(known, fact)
        case Predicted():
            return known if known.bare else known._replace(guess=newest(known.guess, fact.guess))
        case Labelled():
            known = advance(known, fact.version, Ending.LABELLED)
            ours = fact.accepted is not None and known.round == fact.version
            guess = newest(fact.accepted, known.guess) if ours else known.guess
            return known._replace(label_version=max(known.label_version, fact.version), guess=guess)
        case Escalated():
            return _escalated(known, fact)
        case Relabelled():
            return _doubted(known, fact)
        case Routed():
            return _routed(known, fact)
        case Opined():
            return _opined(known, fact)


def advance(known: Aggregate, number: int, ending: Ending) -> Aggregate:
    """The join on (round, ending): a later round hides the earlier one, within a round the higher ending holds."""
    if (number, ending) <= (known.round, known.ending):
        return known
    asked, guess = known.asked if number == known.round else None, known.guess
    if number > known.round and guess is not None and guess.label is not None:
        known = known._replace(guess=guess.freed())
    if asked is not None and ending is not Ending.OPEN:
        asked = replace(asked, ended=True)
    return known._replace(round=number, ending=ending, asked=asked)


def _item(known: Aggregate, fact: ItemSeen) -> Aggregate:
    if known.content_hash is not None:
        return known
    asked = known.asked
    if asked is not None and asked.item_created_at is None:
        asked = replace(asked, item_created_at=fact.created_at)
    return known._replace(
        content_hash=fact.content_hash,
        created_at=fact.created_at,
        asked=asked,
        slice=fact.slice,
        language=fact.language,
        sketch=fact.sketch,
    )


def _escalated(known: Aggregate, fact: Escalated) -> Aggregate:
    ending = ENDING_OF_ASK.get(fact.ask)
    if ending is not None:
        return advance(known, fact.round, ending)
    known = advance(known, fact.round, Ending.OPEN)
    if known.round != fact.round or not known.open:
        return known
    asked = _asked(known)
    audience = Audience.EXPERT if fact.ask is Ask.EXPERT else asked.audience
    return known._replace(asked=replace(asked, audience=audience, wanted=max(asked.wanted, fact.opinions_wanted)))


def _doubted(known: Aggregate, fact: Relabelled) -> Aggregate:
    asks = not (fact.rename or fact.revise)
    wish = Wish(fact.urgency, fact.reason, fact.excluded, doubt=asks, rename=fact.rename, revise=fact.revise)
    number = fact.round
    while wish.doubt and number in known.relabels and known.relabels[number].renamed:
        number += 1
    if number == fact.round:  # else it is another round than who asked for it means
        wish = replace(wish, opinions=fact.opinions, expert=fact.expert)
    before = known.relabels.get(number)
    return known._replace(relabels={**known.relabels, number: wish if before is None else before.join(wish)})


def _routed(known: Aggregate, fact: Routed) -> Aggregate:
    ending = ENDING_OF_ROUTE[fact.state]
    known = advance(known, fact.round, ending)
    if known.round != fact.round:
        return known
    if ending is not Ending.OPEN:
        return known if known.asked is None else known._replace(asked=_stepped(known.asked, fact))
    asked = _asked(known)
    expert = Audience.EXPERT in (asked.audience, fact.audience)
    asked = replace(
        asked,
        audience=Audience.EXPERT if expert else Audience.ANNOTATOR,
        wanted=max(asked.wanted, fact.opinions_wanted),
        would_auto=asked.would_auto or fact.would_auto,
        inclusion=min(asked.inclusion, fact.inclusion),
        generation=max(asked.generation, fact.generation),
        project_version=max(asked.project_version, fact.project_version),
        guideline_version=max(asked.guideline_version, fact.guideline_version),
        item_created_at=asked.item_created_at or fact.item_created_at,
        slice=asked.slice or fact.slice,
    )
    return known._replace(asked=_stepped(asked, fact))


def _stepped(asked: Round, fact: Routed) -> Round:
    """The round with what its latest route says."""
    if fact.step <= asked.step:
        return asked
    return replace(asked, step=fact.step, reason=fact.reason, priority=fact.priority, lane=fact.lane or PLAIN)


def _opined(known: Aggregate, fact: Opined) -> Aggregate:
    known = advance(known, fact.round, Ending.OPEN)
    if known.round != fact.round:
        return known
    asked = _asked(known)
    answered = fact.outcome is Outcome.ANSWERED
    by_expert = fact.role is Audience.EXPERT
    guess = asked.guess
    if fact.proposal is not None:
        guess = newest(guess, Guess.of_proposal(fact.proposal, fact.at))
    asked = replace(
        asked,
        answered=asked.answered + answered,
        skipped=asked.skipped + (fact.outcome is Outcome.SKIPPED),
        granted=asked.granted + (fact.outcome is not Outcome.EXHAUSTED),
        expert_answered=asked.expert_answered + (answered and by_expert),
        exhausted=asked.exhausted or fact.outcome is Outcome.EXHAUSTED,
        would_auto=asked.would_auto or fact.would_auto,
        inclusion=min(asked.inclusion, fact.inclusion),
        project_version=max(asked.project_version, fact.project_version),
        guideline_version=max(asked.guideline_version, fact.guideline_version),
        item_created_at=asked.item_created_at or fact.item_created_at,
        guess=guess,
    )
    return known._replace(asked=asked)


def _asked(known: Aggregate) -> Round:
    """The latest round; an empty one where only its number is known yet."""
    if known.asked is not None:
        return known.asked
    return Round(
        known.project_id,
        known.item_id,
        known.round,
        ended=known.ending is not Ending.OPEN,
        item_created_at=known.created_at,
    )
