"""Lanes: who may answer a round, as the queue's index knows it.

A project whose policy has `people` splits its annotators' queue into lanes by what somebody must speak and belong to. A
lane is a text, `annotator:<languages>|<groups>`, each a list with commas of which one is enough; the plain `annotator`
is everybody's. A person's queue is the lanes that they may take from, merged by priority. Experts' lanes are
`expert:<languages>|<groups>` in the same way, and the plain `expert` is every expert's; a round that waits too long in
one of theirs goes over to that.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from shared.events import Audience, Policy

PLAIN = Audience.ANNOTATOR.value
EXPERTS = Audience.EXPERT.value
FALL_BACK_S = 3600.0
LONGEST = 200
"""Characters of a language that an item's metadata names; more is none."""


@dataclass(frozen=True, slots=True)
class Lane:
    """What a person needs, one of each: nothing where empty."""

    languages: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def serves(self, languages: Collection[str] | None, groups: Collection[str]) -> bool:
        """Whether a person may answer: `languages` None is somebody of whom none are said, who speaks them all."""
        speaks = languages is None or not self.languages or any(one in languages for one in self.languages)
        return speaks and (not self.groups or any(one in groups for one in self.groups))

    def of_role(self, role: str) -> str:
        """As the queue has it."""
        if not self.languages and not self.groups:
            return role
        return f"{role}:{','.join(self.languages)}|{','.join(self.groups)}"

    @property
    def told(self) -> str:
        """Who it is, for people to read."""
        parts = [f"of {' or '.join(self.groups)}"] if self.groups else []
        parts += [f"who speak {' or '.join(self.languages)}"] if self.languages else []
        return " ".join(parts)

    @classmethod
    def of(cls, text: str) -> "Lane":
        """The lane of its text; of an audience without one, everybody's."""
        languages, _, groups = text.partition(":")[2].partition("|")
        return Lane(tuple(filter(None, languages.split(","))), tuple(filter(None, groups.split(","))))


def lane_of(policy: Policy, language: str | None) -> str:
    """The lane of an item under a policy; an item that names its language needs that one."""
    people = policy.people
    if people is None:
        return PLAIN
    languages = (language,) if language is not None and people.match_language else tuple(sorted(set(people.languages)))
    return Lane(languages, tuple(sorted(set(people.groups)))).of_role(PLAIN)


def expert_lane_of(policy: Policy, language: str | None, likely: str | None) -> str:
    """The experts' lane of an item under a policy: by its language, and the class that the model thinks of."""
    experts = policy.people.experts if policy.people is not None else None
    if experts is None:
        return EXPERTS
    languages = (language,) if language is not None and experts.match_language else ()
    return Lane(languages, tuple(sorted(set(experts.groups_of(likely))))).of_role(EXPERTS)


def fall_back_s(policy: Policy) -> float:
    """How long a round waits in a lane of some experts before any expert may answer."""
    experts = policy.people.experts if policy.people is not None else None
    return FALL_BACK_S if experts is None else experts.fall_back_s


def language_of(metadata_language: object) -> str | None:
    """The language that an item's metadata names, in lower case; None where it names none that could be one."""
    if not isinstance(metadata_language, str):
        return None
    found = metadata_language.strip().lower()
    return found if 0 < len(found) <= LONGEST and not set(found) & set(",|:\x00") else None


def lanes_for(
    known: Iterable[str], languages: Collection[str] | None, groups: Collection[str], role: str = PLAIN
) -> Sequence[str]:
    """Those of a role that a person may take from, everybody's first."""
    spoken = None if languages is None else {one.lower() for one in languages}
    own = {lane for lane in known if lane.startswith(f"{role}:")}
    return [role, *sorted(lane for lane in own if Lane.of(lane).serves(spoken, groups))]
