"""monitor's tables; SQL lives here only."""

from services.monitor.store.certificates import CertificateStore
from services.monitor.store.flow import OLD_BUCKETS, OLD_EVENTS, OLD_RELABELS, Store, facts_of

__all__ = ["OLD_BUCKETS", "OLD_EVENTS", "OLD_RELABELS", "CertificateStore", "Store", "facts_of"]
