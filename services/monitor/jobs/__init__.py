"""What monitor does on its own clock."""

from services.monitor.jobs.certifying import Certifying
from services.monitor.jobs.flow import Jobs, OpenUnit

__all__ = ["Certifying", "Jobs", "OpenUnit"]
