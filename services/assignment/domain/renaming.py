"""A label of the model under its present name."""

from dataclasses import replace
from typing import TYPE_CHECKING

from services.assignment.domain.aggregate import Aggregate, Wish
from services.assignment.domain.fold import advance
from services.assignment.domain.states import Ending
from shared.events import Evidence, Label, Path, unchecked

if TYPE_CHECKING:
    from services.assignment.domain.decide import Context


def renamed_by_model(known: Aggregate, wish: Wish, context: "Context") -> tuple[Aggregate, tuple[Label]]:
    """The label that the model gave once more, under its present name: nothing is accepted anew, and nothing costs."""
    guess = known.guess
    if guess is None or guess.label is None:
        raise ValueError("only a proposal was accepted")
    named, number = guess.named(context.names), known.round + 1
    proposal = named.proposal if named.value == named.label else None
    label = unchecked(
        Label,
        project_id=known.project_id,
        item_id=known.item_id,
        version=number,
        value=named.label,
        path=Path.AUTO,
        evidence=unchecked(Evidence, proposal=proposal, reason="version 1 in present names; nobody was asked"),
        supersedes=known.round,
        renames=1,
        project_version=context.project_version,
        guideline_version=context.guideline_version,
        item_created_at=known.created_at or context.now,
        labelled_at=context.now,
    )
    told = {**known.relabels, known.round: replace(wish, renamed=True)}
    known = advance(known, number, Ending.LABELLED)
    return known._replace(label_version=number, guess=named, relabels=told), (label,)
