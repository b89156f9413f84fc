"""monitor's metrics: what its database holds, as of the last snapshot."""

from services.monitor.metrics.flow import DECLARED, FlowCollector
from services.monitor.metrics.snapshot import Snapshot

__all__ = ["DECLARED", "FlowCollector", "Snapshot"]
