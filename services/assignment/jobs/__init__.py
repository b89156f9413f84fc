"""What time does: leases run out, predictions stay away, rounds wait for people, projects change."""

from services.assignment.jobs.accepting import Accepting
from services.assignment.jobs.choosing import Choosing
from services.assignment.jobs.classes import ClassJobs
from services.assignment.jobs.housekeeping import Housekeeping
from services.assignment.jobs.queue import QueueJobs
from services.assignment.jobs.recording import record
from services.assignment.jobs.retention import Retention
from services.assignment.jobs.sweep import Sweeper

__all__ = ["Accepting", "Choosing", "ClassJobs", "Housekeeping", "QueueJobs", "Retention", "Sweeper", "record"]
