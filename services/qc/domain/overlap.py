"""More opinions beside those of people whom a rule of the project asks them for."""

from collections.abc import Mapping

from services.qc.domain.rounds import Round
from services.qc.domain.stopping import Decision, Request, Wait
from shared.events import Ask, Policy


def beside(current: Round, policy: Policy, doubled: Mapping[str, int]) -> Policy:
    """The policy with the overlap that the round's people ask for; the same object where nobody does."""
    more = max((doubled.get(answer.annotator_id or "", 0) for answer in current.fresh), default=0)
    least = min(policy.overlap.min + more, policy.overlap.max)
    if least <= max(policy.overlap.min, current.asked):
        return policy
    return policy.model_copy(update={"overlap": policy.overlap.model_copy(update={"min": least})})


def more_opinions(current: Round, policy: Policy) -> Decision:
    """What to ask for where the raised minimum makes the round wait; once, as it is remembered as asked."""
    if current.pooled or current.ended or current.expert_asked or current.exhausted:
        return Wait()
    if current.asked >= policy.overlap.min:
        return Wait()
    return Request(Ask.OPINION, policy.overlap.min, "a rule asks for more opinions beside somebody's")
