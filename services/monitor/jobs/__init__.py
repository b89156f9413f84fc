"""What monitor does on its own clock."""

from services.monitor.jobs.certifying import Certifying
from services.monitor.jobs.diagnosing import Diagnosing
from services.monitor.jobs.drift import Drifting
from services.monitor.jobs.flow import Jobs, OpenUnit
from services.monitor.jobs.relabelling import Relabelling, release

__all__ = ["Certifying", "Diagnosing", "Drifting", "Jobs", "OpenUnit", "Relabelling", "release"]
