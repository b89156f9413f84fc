"""Lanes: who may answer a round, as the queue's index knows it.

A project whose policy has `people` splits its annotators' queue into lanes by what somebody must speak and belong to. A
lane is a text, `annotator:<languages>|<groups>`, each a list with commas of which one is enough; the plain `annotator`
is everybody's. A person's queue is the lanes that they may take from, merged by priority. Experts have one queue.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from shared.events import Audience, Policy

PLAIN = Audience.ANNOTATOR.value
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

    @property
    def text(self) -> str:
        """As the queue has it."""
        if not self.languages and not self.groups:
            return PLAIN
        return f"{PLAIN}:{','.join(self.languages)}|{','.join(self.groups)}"

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
    return Lane(languages, tuple(sorted(set(people.groups)))).text


def language_of(metadata_language: object) -> str | None:
    """The language that an item's metadata names, in lower case; None where it names none that could be one."""
    if not isinstance(metadata_language, str):
        return None
    found = metadata_language.strip().lower()
    return found if 0 < len(found) <= LONGEST and not set(found) & set(",|:\x00") else None


def lanes_for(known: Iterable[str], languages: Collection[str] | None, groups: Collection[str]) -> Sequence[str]:
    """Those that a person may take from, everybody's first."""
    spoken = None if languages is None else {one.lower() for one in languages}
    return [PLAIN, *sorted(lane for lane in set(known) if lane != PLAIN and Lane.of(lane).serves(spoken, groups))]
