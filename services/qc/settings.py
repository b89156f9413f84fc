"""qc's settings."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.runtime.settings import PACE, DatabaseServiceSettings


class QcSettings(DatabaseServiceSettings):
    """qc's settings; environment prefix LABELSTREAM_QC_."""

    model_config = SettingsConfigDict(env_prefix="LABELSTREAM_QC_", extra="ignore")

    batch_pace_ms: Annotated[int, Field(ge=0, le=10_000)] = Field(default=100, description=PACE)
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(default=8003, description="Port that HTTP listens on.")
    snapshot_check_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=0.1,
        description="How often it is checked whether the answers have grown enough for a snapshot, seconds.",
    )
    snapshot_growth: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.1, description="A snapshot is due when the answers grew by this share of its window since the last."
    )
    snapshot_min_answers: Annotated[int, Field(ge=1)] = Field(
        default=20, description="... and by at least this many answers."
    )
    snapshot_interval_s: Annotated[float, Field(gt=0)] = Field(
        default=30.0, description="A snapshot is due after this long if there is any new answer, seconds."
    )
    snapshots_kept: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=100, description="Snapshots of each project whose counts are kept; older ones keep their digest."
    )
    snapshot_rows_kept_days: Annotated[float, Field(gt=0)] = Field(
        default=90.0, description="Age at which the number and digest of an old snapshot are deleted, days."
    )
    snapshot_answers: Annotated[int, Field(ge=1000, le=2_000_000)] = Field(
        default=200_000, description="Answers of a project that a snapshot is fitted to, at most: the newest."
    )
    snapshot_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.25, description="Share of one processor that snapshots may take; after a long one the next waits."
    )
    snapshot_undecided: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=2000,
        description="Undecided rounds that a snapshot judges too, at most, on a scale without a list of classes.",
    )
    agreement_interval_s: Annotated[float, Field(gt=0)] = Field(
        default=30.0, description="How often agreement and calibration are measured where answers came, seconds."
    )
    agreement_answers: Annotated[int, Field(ge=1000, le=1_000_000)] = Field(
        default=50_000, description="Answers of a project that they are measured on, at most: the newest."
    )
    agreement_resamples: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=200, description="Resamples behind their intervals."
    )
    agreement_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.1, description="Share of one processor that measuring them may take; after a long one the next waits."
    )
    quality_interval_s: Annotated[float, Field(gt=0)] = Field(
        default=10.0, description="How often skill and agreement are published where they changed, seconds."
    )
    quality_max_events: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=500, description="Skill events per run; what is over waits for the next."
    )
    gold_interval_s: Annotated[float, Field(gt=0)] = Field(
        default=10.0,
        description="How often answers to gold items are scored whose gold answer came or changed, seconds.",
    )
    patterns_interval_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="How often confused classes and items are published where they changed, seconds."
    )
    review_interval_s: Annotated[float, Field(gt=0)] = Field(
        default=2.0, description="How often labels of people in quarantine are reviewed, seconds."
    )
    review_max_items: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=200, description="Labels reviewed per such run; what is over waits for the next."
    )
    gold_max_answers: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1000, description="Answers scored per such run; what is over waits for the next."
    )
