"""What is known of one item, and the round that people were asked in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from services.assignment.domain.guess import Guess
from services.assignment.domain.lanes import PLAIN
from services.assignment.domain.likeness import Likeness, likeness_of
from services.assignment.domain.states import Ending, Standing, State
from shared.events import Audience, Proposal


@dataclass(frozen=True, slots=True)
class Round:
    """A round that people are asked in. An auto-accepted or sampled-out first round has none.

    Attributes:
        id: the row; None while it is not stored.
        wanted: opinions wanted in all.
        answered, skipped, active: answers, skips and running leases; `active` and `answered` count experts too.
        granted: leases ever granted. Until then a better prediction may still replace the guess or end the round.
        expert_answered, expert_active: the experts' part of `answered` and `active`.
        exhausted: nobody will be asked any more; qc ends the round with what there is.
        step: number of the last route published.
        excluded: people whose answers are in doubt; they are not asked.
        guess: what the round shows to people; pinned by the first lease.
        generation: of the prediction that the round was routed by; -1 for none.
        slice: whose policy it has; None is the project's own.
        likely: the class that the model thinks of.
        lane: which of its audience's lanes it waits in (domain/lanes.py).
        narrow_since: since when it is for some of the experts only.
        spread: the part of the priority that other items decide.
    """

    project_id: str
    item_id: str
    number: int
    id: int | None = None
    audience: Audience = Audience.ANNOTATOR
    wanted: int = 0
    answered: int = 0
    skipped: int = 0
    active: int = 0
    granted: int = 0
    expert_answered: int = 0
    expert_active: int = 0
    exhausted: bool = False
    ended: bool = False
    blocked_at: datetime | None = None
    step: int = 0
    reason: str = ""
    priority: float = 0.0
    urgency: float = 0.0
    would_auto: bool = False
    inclusion: float = 1.0
    excluded: frozenset[str] = frozenset()
    guess: Guess | None = None
    generation: int = -1
    project_version: int = 0
    guideline_version: int = 0
    item_created_at: datetime | None = None
    slice: str | None = None
    likely: str | None = None
    spread: float = 0.0
    lane: str = PLAIN
    narrow_since: datetime | None = None

    @property
    def queue(self) -> str:
        """Where it waits, as the queue's index has it."""
        return self.lane if self.lane.partition(":")[0] == self.audience.value else self.audience.value

    @property
    def free(self) -> int:
        """Leases that may be granted now. The same formula is a generated column of the rounds table."""
        if self.ended or self.exhausted:
            return 0
        if self.audience is Audience.EXPERT:
            return max(0, 1 - self.expert_active - self.expert_answered)
        return max(0, self.wanted - self.answered - self.active)

    @property
    def refused(self) -> Proposal | None:
        """What was proposed in an audit, should it end without a label though people looked at it."""
        if not self.would_auto or self.number > 1 or self.guess is None or self.answered + self.skipped == 0:
            return None
        proposal = self.guess.proposal
        return None if proposal is None else proposal.model_copy(update={"distribution": None})

    @property
    def state(self) -> State:
        """The state of an open round."""
        if self.active > 0:
            return State.LEASED
        if self.free > 0:
            return State.QUEUED if self.blocked_at is None else State.BLOCKED
        return State.AWAITING_DECISION


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for a labelled round.

    Attributes:
        doubt: people are to label it again.
        rename: it is to be given again under the present names of its classes, by nobody.
        renamed: the round after it did that, or revised it, so what doubts its label doubts that one's.
        opinions: to ask for at first; 0 for the policy's minimum.
        expert: an expert is to answer.
        revise: qc is to give it anew by what it knows by now; nobody is asked.
    """

    urgency: float
    reason: str
    excluded: frozenset[str] = frozenset()
    doubt: bool = True
    rename: bool = False
    renamed: bool = False
    opinions: int = 0
    expert: bool = False
    revise: bool = False

    def join(self, other: "Wish") -> "Wish":
        """Two requests for the same round."""
        first = max(self, other, key=lambda wish: (wish.doubt, wish.urgency, wish.reason))
        return Wish(
            first.urgency,
            first.reason,
            self.excluded | other.excluded,
            first.doubt,
            self.rename or other.rename,
            self.renamed or other.renamed,
            max(self.opinions, other.opinions) if self.opinions and other.opinions else 0,
            self.expert or other.expert,
            self.revise or other.revise,
        )


ERASED_CONTENT = "erased"
"""What stands for the content hash of an erased item that had come: its repeats are still counted."""
NO_WISHES: Mapping[int, Wish] = MappingProxyType({})


class Aggregate(NamedTuple):
    """Everything about one item that decisions need.

    Attributes:
        content_hash: None until the item itself has come.
        guess: of the highest generation so far.
        round: number of the latest round; 0 before the first.
        ending: how that round stands.
        label_version: the live label's; 0 for none.
        relabels: round whose result is doubted -> why. They stay; a round's number says which were honoured.
        asked: the latest round, where people are or were asked.
        bare: its content was forgotten, so nobody can be asked about it any more.
        slice: of the project, as its producer's metadata said when it came; None is none.
        language: that its metadata named.
        sketch: of its content (domain/sketch.py), where the policy needs one.
    """

    project_id: str
    item_id: str
    content_hash: str | None = None
    created_at: datetime | None = None
    guess: Guess | None = None
    round: int = 0
    ending: Ending = Ending.OPEN
    label_version: int = 0
    relabels: Mapping[int, Wish] = NO_WISHES
    asked: Round | None = None
    bare: bool = False
    slice: str | None = None
    language: str | None = None
    sketch: bytes | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.project_id, self.item_id

    @property
    def likeness(self) -> Likeness | None:
        """What it is compared with others by."""
        return likeness_of(self.guess, self.sketch, self.content_hash)

    @property
    def open(self) -> bool:
        """Whether a round is open."""
        return self.round > 0 and self.ending is Ending.OPEN

    @property
    def erased(self) -> bool:
        """Whether it was erased: that stays, and nothing else about it is taken in."""
        return self.ending is Ending.ERASED

    @property
    def standing(self) -> Standing:
        """What the items table stores."""
        if self.erased:
            return Standing.ERASED
        if self.content_hash is None:
            return Standing.PARKED
        if self.round == 0:
            return Standing.WAITING
        return Standing[self.ending.name]

    @property
    def state(self) -> State:
        """The item's state in full."""
        standing = self.standing
        if standing is Standing.OPEN:
            return self.asked.state if self.asked is not None else State.AWAITING_DECISION
        return State(standing.value)


def erase(known: Aggregate) -> Aggregate:
    """What stays of an item that is erased: that it was, and whether it had come."""
    came = None if known.content_hash is None else ERASED_CONTENT
    return Aggregate(known.project_id, known.item_id, content_hash=came, ending=Ending.ERASED)
