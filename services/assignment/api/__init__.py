"""The HTTP API: annotators take and answer tasks; leads and administrators steer."""

from services.assignment.api.application import make_api

__all__ = ["make_api"]
