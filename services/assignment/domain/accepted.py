"""Labels that the model alone gave, after a change of classes: given again by their present name, or sent to people.

qc does not hold them; assignment knows what it accepted, as long as it keeps the prediction.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from services.assignment.domain.aggregate import Aggregate, Wish
from services.assignment.domain.decide import LAST_ROUND, Context, Emitted, may_doubt, reopen
from services.assignment.domain.draws import draws_of
from services.assignment.domain.renaming import renamed_by_model
from services.assignment.domain.states import Ending
from services.assignment.domain.superseding import outdated
from shared.events import ProjectSpec
from shared.labels import LabelSchema, fits

PASSES = 2
AGAIN_S = 60.0
URGENCY = 0.5


@dataclass(frozen=True, slots=True)
class Review:
    """How far a review has come; see the table `class_reviews`."""

    project_id: str
    version: int
    after: str = ""
    passes: int = 0
    not_before: datetime | None = None
    day: date | None = None
    used: int = 0

    @property
    def over(self) -> bool:
        """Whether nothing is left to look at."""
        return self.passes >= PASSES

    def due(self, now: datetime) -> bool:
        """Whether there is anything to look at now."""
        return not self.over and (self.not_before is None or self.not_before <= now)

    def spent(self, now: datetime) -> int:
        """Labels sent to people today."""
        return self.used if self.day == now.date() else 0


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What one chunk came to."""

    review: Review
    items: Mapping[tuple[str, str], Aggregate]
    said: Emitted


def changed_at(specs: Mapping[int, ProjectSpec], named_since: int) -> int:
    """The latest project version that lost a class, or has names that none before had; 0 for none."""
    found, before = named_since, None
    for version, spec in sorted(specs.items()):
        if before is not None and outdated(before, spec):
            found = max(found, version)
        before = spec
    return found


def look_at(known: Aggregate, context: Context, schema: LabelSchema) -> tuple[Aggregate, Emitted]:
    """One item: its label under the present name, or a round for people where its class is gone, or nothing."""
    guess = known.guess
    if guess is None or guess.label is None or known.ending is not Ending.LABELLED:
        return known, ()
    named = guess.named(context.names)
    if named.label is not None and not fits(named.label, schema):
        if not may_doubt(known):
            return known, ()
        reason = f"version {context.project_version} of the project no longer has the class of this label"
        draws, fresh = draws_of(*known.key), known._replace(guess=named)
        return reopen(fresh, context, draws, reason, Wish(URGENCY, reason))
    if named.label == guess.label or known.round >= LAST_ROUND:
        return known, ()
    wish = known.relabels.get(known.round, Wish(0.0, "rename", doubt=False, rename=True))
    return renamed_by_model(known, wish, context)


def review(
    progress: Review,
    items: Iterable[Aggregate],
    context: Context,
    schema: LabelSchema,
    *,
    budget: int,
    last: str | None,
) -> Reviewed:
    """Look at one chunk of items.

    Args:
        progress: as it stands; due.
        items: those of the chunk that the model labelled, by id.
        context: the project as it is.
        schema: its labels.
        budget: labels that may be sent to people in a day; where it is used up the review stops before the next.
        last: id of the last item of the chunk; None where there are no more.
    """
    after, said, used, stop = progress.after, list[Emitted](), progress.spent(context.now), None
    found: dict[tuple[str, str], Aggregate] = {}
    for known in sorted(items, key=lambda one: one.item_id):
        fresh, told = look_at(known, context, schema)
        if fresh.open and used >= budget:
            stop = after
            break
        used += fresh.open
        found[known.key], after = fresh, known.item_id
        said.append(told)
    progress = replace(progress, day=context.now.date(), used=used)
    whole = tuple(event for told in said for event in told)
    if stop is not None:
        return Reviewed(replace(progress, after=stop), found, whole)
    if last is not None:
        return Reviewed(replace(progress, after=last), found, whole)
    later = context.now + timedelta(seconds=AGAIN_S)
    return Reviewed(replace(progress, after="", passes=progress.passes + 1, not_before=later), found, whole)
