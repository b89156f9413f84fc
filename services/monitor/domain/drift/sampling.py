"""Which labels by people are a fair sample of the traffic.

Whom a policy asks about what depends on the model: below the threshold everything goes to people, above it the audit
lane, and when threshold, certificate or shares move, so does the mix of what people see, though nothing has drifted.
So each item counts with the same chance whatever lane it came by: one that came with probability pi is kept with
probability floor / pi, the floor being the smallest pi of the project. The draw is a hash of the item.
"""

from hashlib import blake2b

from shared.events import Label, Policy, ProjectSpec, Route

_DRAWN = 2**64


def probability(event: Route | Label, policy: Policy) -> float:
    """With which chance gave an item to people, whatever else; 0 where something else than chance did.

    Args:
        event: of a first round.
        policy: that the round has.
    """
    auto = policy.auto_accept
    if auto is not None and auto.audit_share <= 0.0 and auto.guarantee is None:
        return 0.0  # what is accepted is never seen by people
    if event.would_auto:
        return event.inclusion_probability
    if policy.budget is None:
        return policy.sample_share
    explored = event.inclusion_probability < policy.sample_share  # the others were chosen by their worth
    return event.inclusion_probability if explored else 0.0


def floor(spec: ProjectSpec) -> float:
    """The smallest probability by which an item of the project comes to people, of those that are not 0."""
    found = [1.0]
    for policy in spec.policies:
        explore = policy.order.explore if policy.order is not None else 0.0
        found.append(policy.sample_share * (explore if policy.budget is not None else 1.0))
        auto = policy.auto_accept
        if auto is not None:
            found.append(auto.audit_share)
            found += [] if auto.guarantee is None else [auto.guarantee.starting_share]
    return min(one for one in found if one > 0.0)


def is_sampled(event: Route | Label, spec: ProjectSpec) -> bool:
    """Whether an item of a first round is in the fair sample; the same for its route and its label."""
    chance = probability(event, spec.policy_of(event.slice))
    if chance <= 0.0:
        return False
    drawn = blake2b(f"{event.project_id}/{event.item_id}".encode(), digest_size=8, person=b"drift sample").digest()
    return int.from_bytes(drawn) < floor(spec) / chance * _DRAWN


def is_beside_audits(label: Label, policy: Policy) -> bool:
    """Whether people labelled an item for want of a certificate, of a confidence for which the audit lane stands."""
    auto, proposal = policy.auto_accept, label.evidence.proposal
    if auto is None or auto.guarantee is None or proposal is None or label.would_auto:
        return False
    return proposal.confidence >= auto.threshold
