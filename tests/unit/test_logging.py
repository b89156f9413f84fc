"""What libraries say goes out as our own lines: few, and without what an exception repeats of the data."""

import logging
from typing import Any

from shared.runtime.logging import QUIET_S, LibraryLog


class Heard:
    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.now = 100.0
        self.log = logging.getLogger("tests.library")
        self.log.propagate = False
        self.log.handlers = [LibraryLog(self.hear, lambda: self.now)]

    def hear(self, level: int, event: str, **fields: Any) -> None:
        self.said.append({"level": level, "event": event, **fields})


def test_a_library_that_repeats_itself_is_heard_once_in_a_while() -> None:
    heard = Heard()
    for port in range(500):
        heard.log.error("Unable connect to node with id %s: %s", 1, port)
    heard.log.error("something else")
    heard.now += QUIET_S
    heard.log.error("Unable connect to node with id %s: %s", 1, 7)
    assert [(one["message"], one["unsaid"]) for one in heard.said] == [
        ("Unable connect to node with id 1: 0", 0),
        ("something else", 0),
        ("Unable connect to node with id 1: 7", 499),
    ]
    assert {one["logger"] for one in heard.said} == {"tests.library"}


def test_an_exceptions_text_is_not_repeated() -> None:
    heard = Heard()
    try:
        raise ValueError("invalid input: a secret")  # noqa: TRY301  # its frames are wanted
    except ValueError:
        heard.log.exception("Exception in ASGI application")
    (line,) = heard.said
    assert line["error"] == "ValueError"
    assert "secret" not in str(line)
