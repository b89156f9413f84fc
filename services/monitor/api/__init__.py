"""The status page and the read API of monitor."""

from services.monitor.api.application import Reading, make_api
from services.monitor.api.view import Lag

__all__ = ["Lag", "Reading", "make_api"]
