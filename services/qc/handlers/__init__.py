"""What qc does with each topic's events."""

from services.qc.handlers.doubting import rebuild_relabels
from services.qc.handlers.erasing import QcEraser
from services.qc.handlers.stream import Handlers

__all__ = ["Handlers", "QcEraser", "rebuild_relabels"]
