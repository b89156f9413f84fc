"""Replays a recorded crowd through the whole stack, as if its workers sat at the API."""
