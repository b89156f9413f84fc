"""Where an item goes after its prediction: the label at once, people, or nowhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from services.assignment.domain.draws import Draws
from services.assignment.domain.guess import Guess
from shared.events import AutoAccept, Evidence, Policy, unchecked
from shared.labels import Names


class Way(StrEnum):
    AUTO = "auto"
    PEOPLE = "people"
    SAMPLED_OUT = "sampled_out"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a certificate says of a group of classes; `threshold` is None where nothing of it is accepted."""

    threshold: float | None
    audit_share: float
    valid_until: datetime

    def hold(self, now: datetime) -> bool:
        """Whether something is accepted."""
        return self.threshold is not None and now < self.valid_until


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest certificate of a project; `threshold` is None where it was withdrawn.

    `classes`: what it says of classes by themselves, and under "" of the others together. What is said beside it holds
    of every class; it counts where there is no more to go by. `model_version`: None where a release before kept it.
    """

    id: UUID
    generation: int
    threshold: float | None
    audit_share: float
    target_error: float
    valid_until: datetime
    model_version: str | None = None
    classes: Mapping[str, Terms] = field(default_factory=dict)

    @property
    def pooled(self) -> Terms:
        """Of all classes without terms of their own."""
        return self.classes.get("") or Terms(self.threshold, self.audit_share, self.valid_until)

    def terms(self, guess: Guess, auto: AutoAccept) -> Terms | None:
        """What it says of this proposal; None where it is of another model, or promises less than the project asks."""
        promised = auto.guarantee is not None and self.target_error <= auto.guarantee.target_error
        if not promised or self.generation != guess.generation:
            return None
        if self.model_version not in (None, guess.model_version):  # of a project's own system, which has no generations
            return None
        return self.classes.get(guess.likely or "", self.pooled)

    def lowest(self, now: datetime) -> float | None:
        """The lowest confidence that it accepts, of whichever class; None: it accepts nothing."""
        held = [one.threshold for one in (self.pooled, *self.classes.values()) if one.hold(now)]
        return min((one for one in held if one is not None), default=None)

    def named(self, names: Names) -> "Standing":
        """The same in present names of classes."""
        if not names or not self.classes:
            return self
        return replace(self, classes={names.name(name) if name else "": one for name, one in self.classes.items()})


@dataclass(frozen=True, slots=True)
class Routing:
    """A routing decision.

    Attributes:
        would_auto: the item is in the audit lane: people answer it blind instead of the model.
        inclusion: probability with which an item like this goes this way by chance; 1 where chance had no part.
        certificate: on which the label is accepted.
        certified_class: whose own terms of it they are; None: those of all other classes.
    """

    way: Way
    reason: str
    would_auto: bool = False
    inclusion: float = 1.0
    certificate: UUID | None = None
    certified_class: str | None = None

    def evidence(self, guess: Guess, when: str) -> Evidence:
        """What the label stands on where the proposal is accepted."""
        return unchecked(
            Evidence,
            proposal=guess.proposal,
            reason=f"{self.reason}{when}",
            certificate=self.certificate,
            certified_class=self.certified_class,
        )


def route(guess: Guess | None, policy: Policy, draws: Draws, standing: Standing | None, now: datetime) -> Routing:
    """Route a new item by its first prediction.

    Args:
        guess: None where no prediction came in time.
        policy: of the project version that the round pins.
        draws: of this item.
        standing: the project's certificate, which matters where the policy asks for a guarantee.
        now: when.
    """
    accepted = accept(guess, policy, draws, standing, now)
    if accepted is not None:
        return accepted
    why = _why_people(guess, policy)
    share = policy.sample_share
    if draws.sample >= share:
        return Routing(Way.SAMPLED_OUT, f"{why}; not among the sampled {share:g}", inclusion=share)
    if share < 1.0:
        why = f"{why}; sampled with probability {share:g}"
    explore = policy.order.explore if policy.order is not None else 0.0
    if draws.explore < explore:
        return Routing(Way.PEOPLE, f"{why}; explored with probability {explore:g}", inclusion=share * explore)
    return Routing(Way.PEOPLE, why, inclusion=share)


def accept(
    guess: Guess | None, policy: Policy, draws: Draws, standing: Standing | None, now: datetime
) -> Routing | None:
    """AUTO, or PEOPLE for the audit lane, where the policy accepts the proposal; None where it does not.

    With a guarantee everything from the policy's threshold up is audited with the same probability, certified or not,
    so that audits are a uniform sample at each confidence.
    """
    auto = policy.auto_accept
    if auto is None or guess is None or guess.value is None or guess.confidence is None:
        return None
    if guess.confidence < auto.threshold:
        return None
    terms = standing.terms(guess, auto) if standing is not None else None
    share = _audit_share(auto, terms, now)
    if draws.audit < share:
        reason = f"audit of confidence {guess.confidence:.4f}, drawn with probability {share:g}"
        return Routing(Way.PEOPLE, reason, would_auto=True, inclusion=share)
    if auto.guarantee is None:
        return Routing(Way.AUTO, f"confidence {guess.confidence:.4f} reaches the threshold {auto.threshold:g}")
    if standing is None or terms is None or not terms.hold(now) or guess.confidence < (terms.threshold or 0.0):
        return None
    own = guess.likely if guess.likely and guess.likely in standing.classes else None
    reason = f"confidence {guess.confidence:.4f} reaches the certified {terms.threshold:g}"
    reason = reason if own is None else f"{reason} of {own!r}"
    return Routing(Way.AUTO, reason, certificate=standing.id, certified_class=own)


def _audit_share(auto: AutoAccept, terms: Terms | None, now: datetime) -> float:
    if auto.guarantee is None:
        return auto.audit_share
    return terms.audit_share if terms is not None and terms.hold(now) else auto.guarantee.starting_share


def _why_people(guess: Guess | None, policy: Policy) -> str:
    if guess is None:
        return f"no prediction within {policy.prediction_timeout_s:g} s"
    if guess.abstention is not None:
        return f"the model abstained: {guess.abstention.value}"
    if policy.auto_accept is None:
        return "the policy accepts nothing without a person"
    confidence, threshold = guess.confidence or 0.0, policy.auto_accept.threshold
    if confidence >= threshold:
        return f"no certificate for confidence {confidence:.4f}"
    return f"confidence {confidence:.4f} is below the threshold {threshold:g}"
