"""The HTTP API: annotators take and answer tasks; leads and administrators steer."""

from services.assignment.api.application import make_api
from services.assignment.api.identity import Identities

__all__ = ["Identities", "make_api"]
