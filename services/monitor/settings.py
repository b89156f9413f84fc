"""monitor's settings."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from shared.runtime.secrets import given_token
from shared.runtime.settings import PACE, DatabaseServiceSettings


class MonitorSettings(DatabaseServiceSettings):
    """monitor's settings; environment prefix LABELSTREAM_MONITOR_."""

    model_config = SettingsConfigDict(env_prefix="LABELSTREAM_MONITOR_", extra="ignore")

    batch_pace_ms: Annotated[int, Field(ge=0, le=10_000)] = Field(default=100, description=PACE)
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(default=8004, description="Port that HTTP listens on.")
    admin_token: SecretStr = Field(
        default=SecretStr(""),
        description="Token of the status page and the read API, 32 characters or more; absent: both are closed.",
    )
    admin_token_file: Path | None = Field(default=None, description="File that holds that token.")
    bucket_s: Annotated[int, Field(ge=1, le=86_400)] = Field(
        default=60, description="Width of the time buckets of class mixes and disagreement, seconds."
    )
    window_s: Annotated[int, Field(ge=1, le=2_592_000)] = Field(
        default=3600, description="Length of the rolling windows that are measured, seconds."
    )
    quality_interval_s: Annotated[int, Field(ge=1, le=86_400)] = Field(
        default=60, description="How often class mixes and disagreement are published, seconds."
    )
    snapshot_interval_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=5.0, description="How often the metrics are read from the database, seconds."
    )
    certify_interval_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=2.0, description="How often new audits are weighed for certificates, seconds."
    )
    certify_max_audits: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=2000, description="Audits of one project that are weighed in one transaction."
    )
    reopen_max_items: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1000, description="Labels of a void certificate that one transaction opens again."
    )
    accepted_kept_days: Annotated[int, Field(ge=1)] = Field(
        default=30, description="Age of audits and of labels accepted under a certificate kept, days."
    )
    drift_interval_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=2.0, description="How often what was observed is folded into the drift detectors, seconds."
    )
    drift_matured_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.8, description="Share of a cohort's items that must have people's labels before it is compared."
    )
    drift_late_s: Annotated[float, Field(gt=0)] = Field(
        default=86_400.0, description="Age of a cohort at which it is compared as it is, seconds."
    )
    alarms_kept_days: Annotated[int, Field(ge=1)] = Field(
        default=90, description="Days that an alarm is kept after it was resolved; above the retention of the topics."
    )
    prune_interval_s: Annotated[int, Field(ge=1)] = Field(
        default=3600, description="How often old time buckets and event ids are deleted, seconds."
    )
    buckets_kept_days: Annotated[int, Field(ge=1)] = Field(default=14, description="Age of time buckets kept, days.")
    seen_kept_days: Annotated[int, Field(ge=1)] = Field(
        default=60, description="Age of event ids kept against repeats, days; above the retention of the topics."
    )
    relabel_interval_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=5.0, description="How often labels in doubt that wait are weighed against the budgets, seconds."
    )
    beliefs_interval_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=60.0, description="How often the models' temperatures and people's accuracy are read anew, seconds."
    )
    diagnose_interval_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=60.0, description="How often the causes of open alarms are looked for, seconds."
    )
    doubts_kept_days: Annotated[int, Field(ge=1, le=60)] = Field(
        default=3, description="Age of labels that may still wait for their budget, days."
    )
    relabels_kept_days: Annotated[int, Field(ge=2)] = Field(
        default=90, description="Age of relabel requests kept, days; above the retention of the topics."
    )
    prune_rows: Annotated[int, Field(ge=100, le=100_000)] = Field(
        default=5000, description="Rows that one transaction of the pruning job deletes."
    )
    metric_classes: Annotated[int, Field(ge=2, le=200)] = Field(
        default=50, description="Classes shown per project in metrics; the rest together as `other`."
    )

    def page_token(self) -> str | None:
        """The token of the status page, or None.

        Raises:
            ConfigurationError: it is too short, or one that everybody knows.
        """
        return given_token(self.admin_token, self.admin_token_file, "LABELSTREAM_MONITOR_ADMIN_TOKEN")
