"""Where an item goes after its prediction: the label at once, people, or nowhere."""

from dataclasses import dataclass
from enum import StrEnum

from services.assignment.domain.draws import Draws
from services.assignment.domain.guess import Guess
from shared.events import Policy


class Way(StrEnum):
    AUTO = "auto"
    PEOPLE = "people"
    SAMPLED_OUT = "sampled_out"


@dataclass(frozen=True, slots=True)
class Routing:
    """A routing decision.

    Attributes:
        would_auto: the item is in the audit lane: people answer it blind instead of the model.
        inclusion: probability with which an item like this goes this way by chance; 1 where chance had no part.
    """

    way: Way
    reason: str
    would_auto: bool = False
    inclusion: float = 1.0


def route(guess: Guess | None, policy: Policy, draws: Draws) -> Routing:
    """Route a new item by its first prediction.

    Args:
        guess: None where no prediction came in time.
        policy: of the project version that the round pins.
        draws: of this item.
    """
    accepted = accept(guess, policy, draws)
    if accepted is not None:
        return accepted
    why = _why_people(guess, policy)
    if policy.sample_share >= 1.0:
        return Routing(Way.PEOPLE, why)
    share = policy.sample_share
    if draws.sample < share:
        return Routing(Way.PEOPLE, f"{why}; sampled with probability {share:g}", inclusion=share)
    return Routing(Way.SAMPLED_OUT, f"{why}; not among the sampled {share:g}", inclusion=share)


def accept(guess: Guess | None, policy: Policy, draws: Draws) -> Routing | None:
    """AUTO, or PEOPLE for the audit lane, where the policy accepts the proposal; None where it does not."""
    auto = policy.auto_accept
    if auto is None or guess is None or guess.value is None or guess.confidence is None:
        return None
    if guess.confidence < auto.threshold:
        return None
    if draws.audit < auto.audit_share:
        reason = f"audit of confidence {guess.confidence:.4f}, drawn with probability {auto.audit_share:g}"
        return Routing(Way.PEOPLE, reason, would_auto=True, inclusion=auto.audit_share)
    return Routing(Way.AUTO, f"confidence {guess.confidence:.4f} reaches the threshold {auto.threshold:g}")


def _why_people(guess: Guess | None, policy: Policy) -> str:
    if guess is None:
        return f"no prediction within {policy.prediction_timeout_s:g} s"
    if guess.abstention is not None:
        return f"the model abstained: {guess.abstention.value}"
    if policy.auto_accept is None:
        return "the policy accepts nothing without a person"
    return f"confidence {guess.confidence or 0.0:.4f} is below the threshold {policy.auto_accept.threshold:g}"
