"""A label under its present name: the round that gives it again has no answers, and asks for none."""

from services.qc.domain.counts import ANY, MILLS
from services.qc.domain.item import Answer, ItemState, LiveLabel
from services.qc.domain.stopping import Verdict
from shared.events import Audience, Path

TWO = 2


def again(item: ItemState, number: int) -> Verdict | None:
    """The live label as the verdict of round `number`, with the votes that it stood on; all in present names.

    Value, path and posterior (in mills, as answers were judged by it) are those of before: a rename decides nothing.
    None where the round is over, or where there is no earlier label with an answer that says the same.
    """
    label = item.label
    if label is None or label.version >= number or item.ended(number) or item.erased:
        return None
    votes = _votes(item, label)
    same = [answer for answer in votes if answer.symbol == label.symbol]
    if not same or same[0].value is None:
        return None
    shares = {name: weight / MILLS for name, weight in label.weights.items() if name != ANY and weight > 0}
    told = label.path is Path.CONSENSUS and label.number is None
    return Verdict(
        value=same[0].value,
        path=label.path,
        votes=votes,
        agreement=len(same) / len(votes) if len(votes) >= TWO else None,
        reason=f"version {label.given} in present names; nobody was asked",
        posterior=shares.get(label.symbol) if told else None,
        distribution=shares if told else None,
    )


def _votes(item: ItemState, label: LiveLabel) -> tuple[Answer, ...]:
    """What the label stands on; a lone answer is the last of its kind: of its own round, or of one that it pools."""
    votes = tuple(
        answer
        for answer in item.answers.values()
        if answer.is_answer
        and not answer.late
        and answer.round <= label.given
        and (label.path is Path.EXPERT or answer.role is Audience.ANNOTATOR or answer.round < label.given)
    )
    if label.path is not Path.SINGLE:
        return votes
    return tuple(sorted((one for one in votes if one.symbol == label.symbol), key=lambda one: one.round)[-1:])
