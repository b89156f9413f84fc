"""The status page: a whole document, and the part of it that is replaced while somebody looks."""

from services.monitor.api.alarms import alarms
from services.monitor.api.detectors import detectors
from services.monitor.api.elements import E, Element, written
from services.monitor.api.sections import classes, objects, people, quality, the_flow
from services.monitor.api.view import View
from services.monitor.api.wording import clock

REFRESH_S = 5
NOTHING = "Nothing has been read yet, or there is no project: labelstream project apply FILE."


def live(view: View | None) -> str:
    """The part that changes."""
    return written(_live(view))


def page(view: View | None) -> str:
    """The document. Without a script it asks the browser to load it again."""
    head = E(
        "head",
        E("meta", charset="utf-8"),
        E("meta", name="viewport", content="width=device-width, initial-scale=1"),
        E("title", "Labelstream" if view is None else f"Labelstream: {view.overview.project_id}"),
        E("link", rel="stylesheet", href="/status/page.css"),
        E("script", src="/status/page.js", defer="defer"),
        E("noscript", E("meta", http_equiv="refresh", content=f"{2 * REFRESH_S}")),
    )
    body = E("body", E("header", E("h1", "Labelstream"), _choice(view), E("p", "", id="contact")), _live(view))
    return "<!doctype html>" + written(E("html", head, body, lang="en"))


def _choice(view: View | None) -> Element | None:
    """A form, so that it works without a script."""
    if view is None:
        return None
    chosen = view.overview.project_id
    options = [
        E("option", name, value=name, **({"selected": "selected"} if name == chosen else {})) for name in view.projects
    ]
    picked = E("select", *options, name="project", aria_label="Project")
    return E("form", picked, E("button", "Show", type="submit"), method="get", action="/status")


def _live(view: View | None) -> Element:
    if view is None:
        return E("main", E("p", NOTHING, class_="none"), id="live")
    stopped = [E("p", f"{name}: {why}", class_="late") for name, why in view.stopped.items()]
    return E(
        "main",
        E("p", f"As of {clock(view.overview.taken_at)}", class_="note"),
        *stopped,
        the_flow(view),
        alarms(view),
        detectors(view),
        classes(view),
        quality(view),
        objects(view),
        people(view),
        id="live",
    )
