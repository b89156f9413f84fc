"""The project of each policy: its preset, on what was recorded. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cli.economics.contents import GROUP, Contents
from cli.project.presets import policy_of
from cli.replay.dataset import Crowd
from cli.replay.plan import MAX_OVERLAP, NEVER_S
from shared.events import CostModel, Item, Policy, ProjectSpec, Slice, SliceOf, Training
from shared.events.training import Gate
from shared.labels import ChoiceSchema

POLICIES = ("full_manual", "ai_assisted", "active_learning", "crowdsourced", "random")
CURVES = ("active_learning", "random")
"""Whose point is the model: they are trained in many small cycles, the others in few."""
MANUAL_OPINIONS = 3
LEAST_CYCLE = 100
DAYS = 10
"""How many times the items may be asked for again in the run, which has no days."""
GATE_S = 2.0
"""Nobody waits for more labels here: a trial ends at once, with those that there are."""
GATE_MARGIN = 0.1
HOLDOUT = "economics"
"""All policies are measured on the same contents."""
RECORDED = "recorded"
"""Metadata of an item of `crowdsourced`: how many opinions it may take."""
SIZES_AT_MOST = 50
"""Different numbers of them that a project has room for."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the run is asked for.

    Attributes:
        target_error: of what is accepted without a person.
        cycles: trainings of `ai_assisted`; of the policies in `CURVES` three times as many, each of half the labels.
        cycle_share: of the items, labels between two trainings.
        cost: of opinions, experts and predictions.
    """

    target_error: float = 0.03
    cycles: int = 4
    cycle_share: float = 0.05
    cost: CostModel = field(default_factory=CostModel)

    def cycles_of(self, policy: str) -> int:
        """Trainings after which a policy learns no more."""
        return 3 * self.cycles if policy in CURVES else self.cycles

    def labels_of(self, policy: str, items: int) -> int:
        """Labels by people between two trainings."""
        share = self.cycle_share / 2 if policy in CURVES else self.cycle_share
        return max(LEAST_CYCLE, round(share * items))


def project_of(policy: str) -> str:
    """The name of its project."""
    return f"economics-{policy.replace('_', '-')}"


def learns(policy: str) -> bool:
    """Whether a model takes part."""
    return policy_of(policy).auto_accept is not None


def spec_of(policy: str, crowd: Crowd, contents: Contents, options: Options, *, training: bool) -> ProjectSpec:
    """A preset as it is, but for what a recording cannot do.

    Recorded people saw no proposal, were given no gold, and are who they are: nobody else may come, and no round waits
    for them. They stop while a model is trained, which stands for a budget. Where many answers were recorded,
    `crowdsourced` may use them all; that is what it is to save. How many there are differs by item, and asking on is
    worth what may still come: so items of a number are a slice with that maximum. It has labels asked for again that a
    snapshot doubts, as every project has; there are no days to spread that over.

    Args:
        policy: name of the preset.
        crowd: the recording.
        contents: of its tasks.
        options: of the run.
        training: whether a model is still learned.
    """
    learned = training and learns(policy) and contents.learnable
    labels = options.labels_of(policy, len(crowd.answers))
    section = Training(
        first_after=labels,
        after_labels=labels,
        group_by=GROUP if contents.groups else None,
        holdout_seed=HOLDOUT,
        gate=Gate(shadowed=0, within_s=GATE_S, margin=GATE_MARGIN),
    )
    return ProjectSpec(
        project=project_of(policy),
        title=f"A recorded crowd under {policy}",
        data=contents.data,
        label=ChoiceSchema(classes=crowd.classes),
        policy=_policy(policy, options, crowd, most_of(crowd)),
        slices=_slices(policy, options, crowd),
        cost=options.cost,
        training=section if learned else None,
    )


def most_of(crowd: Crowd) -> int:
    """The most opinions that an item of a recording may take."""
    return min(max(map(len, crowd.answers.values())), MAX_OVERLAP)


def sizes_of(crowd: Crowd) -> Mapping[str, int]:
    """How many opinions each task may take: as were recorded, or a few more where those are too many numbers."""
    counts = {task: min(len(given), MAX_OVERLAP) for task, given in crowd.answers.items()}
    known = sorted(set(counts.values()))
    step = -(-len(known) // SIZES_AT_MOST)
    kept = known[::-1][::step]
    return {task: min(one for one in kept if one >= count) for task, count in counts.items()}


def _slices(policy: str, options: Options, crowd: Crowd) -> tuple[Slice, ...]:
    """Items that take fewer opinions than the most; a slice for each number."""
    if policy != "crowdsourced":
        return ()
    return tuple(
        Slice(
            name=f"{RECORDED}-{size}",
            when=SliceOf(metadata={RECORDED: (size,)}),
            policy=_policy(policy, options, crowd, size),
        )
        for size in sorted(set(sizes_of(crowd).values()) - {most_of(crowd)})
    )


def _policy(policy: str, options: Options, crowd: Crowd, most: int) -> Policy:
    preset = policy_of(policy)
    if policy == "full_manual":
        overlap = {"min": min(MANUAL_OPINIONS, most), "max": min(MANUAL_OPINIONS, most)}
    elif policy == "crowdsourced":
        overlap = {"min": min(preset.overlap.min, most), "max": most}
    else:
        overlap = {"min": min(preset.overlap.min, most), "max": min(preset.overlap.max, most)}
    found: dict[str, Any] = {
        "overlap": overlap, "blind_share": 1.0, "gold": {"share": 0.0, "least_share": 0.0, "calibration": 0},
        "relabel": {"budget_per_day": 0, "doubts_per_day": DAYS * len(crowd.answers) if preset.overlap.regret else 0},
        "lease_s": 3600.0, "blocked_after_s": NEVER_S, "unresolved_after_s": NEVER_S,
    }  # fmt: skip
    if preset.auto_accept is not None:
        found["auto_accept"] = {"guarantee": {"target_error": options.target_error}}
    if preset.budget is not None:
        found["budget"] = None
    return policy_of(policy, **found)


def items_of(policy: str, crowd: Crowd, contents: Contents, *, now: datetime) -> Iterator[Item]:
    """The tasks as items of a policy's project, in recorded order."""
    groups: Mapping[str, str] = contents.groups
    sizes = sizes_of(crowd) if policy == "crowdsourced" else {}
    for task in crowd.tasks:
        metadata: dict[str, str | int] = {GROUP: groups[task]} if groups else {}
        if task in sizes:
            metadata[RECORDED] = sizes[task]
        yield Item(
            project_id=project_of(policy), item_id=task, content=contents.by_task[task], metadata=metadata,
            created_at=now,
        )  # fmt: skip
