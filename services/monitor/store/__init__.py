"""monitor's tables; SQL lives here only."""

from services.monitor.store.alarms import AlarmStore, KeptAlarm
from services.monitor.store.certificates import CertificateStore
from services.monitor.store.doubts import DoubtStore
from services.monitor.store.drift import OLD_COHORTS, Cohort, DriftStore
from services.monitor.store.flow import OLD_BUCKETS, OLD_EVENTS, OLD_RELABELS, Store, facts_of

__all__ = [
    "OLD_BUCKETS",
    "OLD_COHORTS",
    "OLD_EVENTS",
    "OLD_RELABELS",
    "AlarmStore",
    "CertificateStore",
    "Cohort",
    "DoubtStore",
    "DriftStore",
    "KeptAlarm",
    "Store",
    "facts_of",
]
