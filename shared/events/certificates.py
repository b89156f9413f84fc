"""Whether, and from which confidence, a model's proposals may be accepted without a person."""

from typing import Annotated, Literal

from pydantic import Field

from shared.events.base import BigCount, Category, Count, Name, Probability, ShortText, Timestamp
from shared.labels.values import Value


class CertificateTerms(Value):
    """What is accepted of a group of classes."""

    threshold: Probability | None = Field(
        default=None, description="Confidence from which its proposals are accepted; null: none are."
    )
    audits: Count = Field(default=0, description="Of the group, above the threshold, that it stands on.")
    error: Probability | None = Field(default=None, description="Mean loss of those audits; not the bound.")
    audit_share: Probability = Field(description="Share of the group's acceptable proposals that is to be audited.")
    valid_until: Timestamp
    doubtful_since: Timestamp | None = Field(
        default=None, description="Withdrawn now: what was accepted of the group since is labelled again."
    )
    breached_since: Timestamp | None = Field(
        default=None, description="Its error had risen, as of then; null once something of it is certified again."
    )


class ClassCertificate(CertificateTerms):
    """What is accepted of one class that is judged by itself."""

    symbol: Category = Field(description="The class that is proposed.")


class Certificate(Value):
    """Whether, and from which confidence, the proposals of one model may be accepted without a person.

    The highest number about a project is the one that counts. Where classes are judged by themselves, `classes` and
    `rest` say what is accepted of which; state, threshold, audit share and validity then are what holds of every class,
    so that a reader that looks no further accepts nothing that it should not.
    """

    kind: Literal["certificate"] = "certificate"
    number: Count
    state: Literal["granted", "withdrawn"]
    generation: BigCount
    model_version: Name
    threshold: Probability = Field(description="Confidence from which proposals are accepted, or were.")
    target_error: Probability
    confidence: Probability = Field(description="Chance at least that the error is below the target when granted.")
    audits: Count = Field(default=0, description="Audits above the threshold that it stands on.")
    error: Probability | None = Field(default=None, description="Mean loss of those audits; not the bound.")
    audit_share: Probability = Field(description="Share of what may be accepted that is to be audited from now on.")
    valid_until: Timestamp
    doubtful_since: Timestamp | None = Field(
        default=None, description="Withdrawn: what was accepted since is labelled again."
    )
    reason: ShortText = ""
    classes: Annotated[tuple[ClassCertificate, ...], Field(max_length=1000)] = Field(
        default=(), description="Classes that are judged by themselves; each replaces what is said here of all."
    )
    rest: CertificateTerms | None = Field(
        default=None, description="All classes that are not in `classes`, together; null: what is said of all."
    )

    @property
    def pooled(self) -> CertificateTerms:
        """What is accepted of the classes that are judged together."""
        return self.rest or self.overall

    @property
    def overall(self) -> CertificateTerms:
        """What holds of every class."""
        return CertificateTerms(
            threshold=self.threshold if self.state == "granted" else None,
            audits=self.audits,
            error=self.error,
            audit_share=self.audit_share,
            valid_until=self.valid_until,
            doubtful_since=self.doubtful_since,
        )

    @property
    def accepts(self) -> bool:
        """Whether it lets proposals of any class be accepted."""
        return any(one.threshold is not None for one in (self.pooled, *self.classes))

    @property
    def broken(self) -> tuple[str, ...]:
        """Classes of which nothing is accepted since their error rose, "*": those judged together; the newest first."""
        parts = {"*": self.pooled, **{one.symbol: one for one in self.classes}}
        since = {name: one.breached_since for name, one in parts.items() if one.breached_since is not None}
        return tuple(sorted(since, key=lambda name: since[name], reverse=True))

    @property
    def breaches(self) -> bool:
        """Whether it withdraws something because the error has risen, not for want of proof under other rules."""
        return any(one.doubtful_since is not None for one in (self.pooled, *self.classes))
