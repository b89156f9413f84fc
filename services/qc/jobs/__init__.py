"""What qc does on its own clock."""

from services.qc.jobs.batch import Jobs
from services.qc.jobs.people import PeopleJobs

__all__ = ["Jobs", "PeopleJobs"]
