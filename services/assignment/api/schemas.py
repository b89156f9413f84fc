"""The bodies of requests and responses."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.assignment.api.identity import Role
from services.assignment.api.problems import ProblemBody
from shared.events import Audience, BorderlineExample, Content, SkipReason
from shared.events.base import Count, ItemId, Name, ShortText, Slug
from shared.labels import LabelSchema, LabelValue

MAX_TASKS = 50
MAX_BATCH = 1000

ABOUT_KEY = "A repeat with the same key and body gets the same answer; another body with it is refused."
IdempotencyKey = Annotated[str | None, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NextRequest(Part):
    project: Slug | None = Field(default=None, description="Absent: any project that is yours.")
    count: Annotated[int, Field(ge=1, le=MAX_TASKS)] = 1
    audience: Audience | None = Field(
        default=None, description="Experts only: `annotator` takes from the annotators' queue. Absent: your own queue."
    )


class Suggestion(Part):
    """What the model proposes."""

    value: LabelValue
    confidence: float
    object_scores: list[float] | None = Field(default=None, description="Of each object, in their order.")


class MediaLink(Part):
    """Where to get what a task's content points at: `GET` it from this service, without a token."""

    path: str = Field(description="With its query; relative to this service.")
    expires_at: datetime = Field(description="From then on it is refused; a renewed lease has a new one.")


class Task(Part):
    """One thing to label. Known by its lease alone."""

    lease_id: UUID
    fencing_token: int = Field(description="Grows with every lease that is granted.")
    expires_at: datetime
    project: str
    project_version: int
    content: Content
    label: LabelSchema
    proposal: Suggestion | None = Field(description="Null where there is none or where you should judge unaided.")
    media: MediaLink | None = Field(default=None, description="Null where the content holds all there is.")


class Brief(Part):
    """What to know about a project."""

    title: str
    instructions: str
    guideline_version: int = Field(description="0: none.")
    guideline: str = Field(description="Markdown; show it as text or through a sanitiser.")
    examples: list[BorderlineExample] = Field(description="Borderline cases with their answers.")


class NextResponse(Part):
    tasks: list[Task] = Field(description="Empty when there is nothing for you now; ask again in a second.")
    projects: dict[str, Brief] = Field(description="Of the tasks' projects.")


class SubmitRequest(Part):
    value: LabelValue
    comment: ShortText = ""
    duration_ms: Count | None = Field(default=None, description="Time of work; absent: since the lease was granted.")


class SkipRequest(Part):
    reason: SkipReason
    comment: ShortText = ""
    duration_ms: Count | None = None


class Submission(Part):
    """One answer or skip of a batch."""

    lease_id: UUID
    value: LabelValue | None = None
    skip_reason: SkipReason | None = None
    comment: ShortText = ""
    duration_ms: Count | None = None
    annotator_id: Name | None = Field(default=None, description="Lead and admin: on whose behalf.")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.value is None) == (self.skip_reason is None):
            raise ValueError("exactly one of value and skip_reason must be given")
        return self


class SubmitBatch(Part):
    submissions: Annotated[list[Submission], Field(min_length=1, max_length=MAX_BATCH)]


class Receipt(Part):
    """An accepted answer or skip. A repeat of the same call gets the same receipt."""

    lease_id: UUID
    annotation_id: UUID
    outcome: Literal["answered", "skipped"]
    late: bool = Field(description="The round had ended: it counts for your record, not for the label.")
    submitted_at: datetime


class SubmitResult(Part):
    """Either receipt or problem."""

    lease_id: UUID
    receipt: Receipt | None = None
    problem: ProblemBody | None = None


class SubmitBatchResponse(Part):
    results: list[SubmitResult] = Field(description="In the order of the submissions.")


class RenewResponse(Part):
    lease_id: UUID
    expires_at: datetime
    media: MediaLink | None = Field(default=None, description="A new link, where the task has one.")


class Me(Part):
    id: str
    name: str
    role: Role
    projects: list[str] | None = Field(description="Null: all.")
    quarantined: list[str] = Field(description="Projects where you are not asked for now; `*`: all.")
    held: int = Field(description="Leases that you hold.")


class SlotsRequest(Part):
    limit: Annotated[int, Field(ge=1, le=MAX_BATCH)] = 100
    audience: Audience = Audience.ANNOTATOR
    after: Annotated[str, Field(max_length=200)] | None = Field(default=None, description="`next` of the page before.")


class OpenSlot(Part):
    item_id: str
    round: int
    audience: Audience
    free: int = Field(description="How many leases may be granted now.")
    taken_by: list[str] = Field(description="People who may not take it.")


class SlotsResponse(Part):
    slots: list[OpenSlot] = Field(description="In queue order.")
    next: str | None


class Assignment(Part):
    item_id: ItemId
    annotator_id: Name
    others: Annotated[list[Name], Field(max_length=200)] = Field(
        default=[],
        description="People who could answer as well: one of all is drawn, as the policy's `overlap.prefer` says.",
    )


class AssignRequest(Part):
    assignments: Annotated[list[Assignment], Field(min_length=1, max_length=MAX_BATCH)]


class AssignResult(Part):
    item_id: str
    annotator_id: str = Field(description="Who got it, or was drawn for it.")
    lease_id: UUID | None = None
    fencing_token: int | None = None
    expires_at: datetime | None = None
    problem: ProblemBody | None = None


class AssignResponse(Part):
    results: list[AssignResult] = Field(description="In the order of the assignments.")


class ExhaustRequest(Part):
    item_ids: Annotated[list[ItemId], Field(min_length=1, max_length=MAX_BATCH)]


class ExhaustResult(Part):
    item_id: str
    round: int | None
    status: Literal["exhausted", "already_exhausted", "not_open"]


class ExhaustResponse(Part):
    results: list[ExhaustResult]


class Progress(Part):
    project: str
    items: int = Field(description="Items that have come; the sum of `states`.")
    states: dict[str, int]
    duplicates: int


class HistoryLease(Part):
    lease_id: UUID
    annotator_id: str
    role: Audience
    round: int
    state: str
    late: bool
    granted_at: datetime
    ended_at: datetime | None


class HistoryRound(Part):
    round: int
    audience: Audience
    state: str
    reason: str
    opinions_wanted: int
    answered: int
    skipped: int
    active: int
    priority: float
    would_auto: bool
    inclusion_probability: float
    project_version: int
    guideline_version: int


class ItemView(Part):
    project: str
    item_id: str
    state: str
    round: int
    label_version: int = Field(description="0: no label yet.")
    created_at: datetime | None
    content: Content | None
    proposal: Suggestion | None
    rounds: list[HistoryRound] = Field(description="Those that people were asked in.")
    leases: list[HistoryLease]


Tag = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]


MaxOpen = Annotated[int, Field(ge=1, le=10_000)]
DailyAnswers = Annotated[int, Field(ge=0, le=1_000_000)]


class Profile(Part):
    """What somebody can do, and how much of it."""

    languages: Annotated[list[Tag], Field(max_length=100)] | None = Field(
        default=None, description="Absent: not said; they are asked in all."
    )
    groups: Annotated[list[Tag], Field(max_length=1000)] | None = Field(default=None, description="Absent: none.")
    max_open: MaxOpen | None = Field(default=None, description="Leases at once; absent: the deployment's limit.")
    daily_answers: DailyAnswers | None = Field(default=None, description="The most in a day; absent: no limit.")


class NewAnnotator(Part):
    id: Name
    name: Name | None = None
    role: Role = Role.ANNOTATOR
    projects: Annotated[list[Slug], Field(max_length=1000)] | None = Field(default=None, description="Absent: all.")
    languages: Annotated[list[Tag], Field(max_length=100)] | None = Field(
        default=None, description="Absent: not known."
    )
    groups: Annotated[list[Tag], Field(max_length=1000)] | None = Field(default=None, description="Absent: not known.")
    max_open: MaxOpen | None = Field(default=None, description="Leases at once; absent: the deployment's limit.")
    daily_answers: DailyAnswers | None = Field(default=None, description="The most in a day; absent: no limit.")
    token: bool = Field(default=True, description="False: cannot log in; a lead acts for them (recorded workers).")


class AnnotatorsRequest(Part):
    annotators: Annotated[list[NewAnnotator], Field(min_length=1, max_length=MAX_BATCH)]


class AnnotatorView(Part):
    id: str
    name: str
    role: Role
    projects: list[str] | None
    languages: list[str] | None
    groups: list[str] | None
    max_open: int | None
    daily_answers: int | None
    enabled: bool
    has_token: bool
    quarantined: list[str]
    created_at: datetime
    last_seen_at: datetime | None


class AddedAnnotator(Part):
    id: str
    token: str | None = Field(default=None, description="Shown this once.")
    problem: ProblemBody | None = None


class AnnotatorsResponse(Part):
    results: list[AddedAnnotator] = Field(description="In the order of the request.")


class AnnotatorList(Part):
    annotators: list[AnnotatorView]
    next: str | None = Field(description="`after` of the next page.")


class TokenResponse(Part):
    id: str
    token: str = Field(description="Shown this once; the old one no longer works.")


class QuarantineRequest(Part):
    project: Slug | None = Field(default=None, description="Absent: everywhere.")
    reason: ShortText = ""
