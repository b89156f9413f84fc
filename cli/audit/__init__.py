"""`labelstream audit`: proves from databases and topics that nothing was lost and nothing counted twice."""

from cli.audit.report import Report, Violation
from cli.audit.run import audit

__all__ = ["Report", "Violation", "audit"]
