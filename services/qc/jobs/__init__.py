"""What qc does on its own clock."""

from services.qc.jobs.agreement import AgreementJobs
from services.qc.jobs.batch import Jobs
from services.qc.jobs.doubting import Doubts
from services.qc.jobs.patterns import Patterns
from services.qc.jobs.people import PeopleJobs
from services.qc.jobs.planning import GoldPlans
from services.qc.jobs.reviewing import Reviews

__all__ = ["AgreementJobs", "Doubts", "GoldPlans", "Jobs", "Patterns", "PeopleJobs", "Reviews"]
