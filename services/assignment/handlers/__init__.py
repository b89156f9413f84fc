"""What assignment does with each topic's events."""

from services.assignment.handlers.erasing import AssignmentEraser
from services.assignment.handlers.rebuild import rebuild_annotations, rebuild_labels, rebuild_routes
from services.assignment.handlers.stream import Handlers

__all__ = ["AssignmentEraser", "Handlers", "rebuild_annotations", "rebuild_labels", "rebuild_routes"]
