"""Gold among the stream: which item next, and that nothing tells it apart."""

from collections.abc import Iterable, Sequence

from services.assignment.domain.draws import draw
from shared.events import Policy


def in_turn(
    left: Iterable[str], own: Sequence[str], usual: Sequence[str], project_id: str, annotator_id: str
) -> list[str]:
    """The gold items that a person has not had, `left`, in the order of the plans.

    The person's own plan is first, then the usual one of whoever has none. People begin that one at different
    places, so that not all of them get the same items first. What no plan names comes last.
    """
    start = int(draw("gold start", project_id, annotator_id) * len(usual)) if usual else 0
    rest = sorted(left, key=lambda item_id: draw("gold order", annotator_id, project_id, item_id))
    known = set(rest)
    return [one for one in dict.fromkeys([*own, *usual[start:], *usual[:start], *rest]) if one in known]


def blind_share(policy: Policy, gold: float) -> float:
    """The share of leases without the model's proposal.

    Most gold items have no proposal to show. Where gold is mixed in, a share of `gold` at most, proposals are hidden at
    least as often, so that a task without one is as likely as not of the stream.
    """
    return max(policy.blind_share, gold)
