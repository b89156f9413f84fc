"""Who may look: the operator's token, as a bearer token or as the password of HTTP Basic, which browsers ask for."""

import base64
import binascii
import hmac

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
ASK = {"www-authenticate": 'Basic realm="labelstream", charset="UTF-8"'}
SETTING = "LABELSTREAM_MONITOR_ADMIN_TOKEN"
UNKNOWN = {
    "code": "unauthenticated",
    "message": "A token is needed.",
    "action": "Give it as a bearer token or password.",
}
CLOSED = {"code": "closed", "message": "This page is off.", "action": f"Set {SETTING} to open it."}


class Guard:
    """Wraps the pages and the read API. Without a token both are closed: they name people.

    Args:
        app: what is guarded.
        token: the operator's; None closes everything.
    """

    def __init__(self, app: ASGIApp, *, token: str | None) -> None:
        self._app = app
        self._token = token.encode() if token is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        if self._token is None:
            await JSONResponse(CLOSED, 403)(scope, receive, send_safe)
        elif not hmac.compare_digest(given(scope), self._token):
            await JSONResponse(UNKNOWN, 401, headers=ASK)(scope, receive, send_safe)
        else:
            await self._app(scope, receive, send_safe)


def given(scope: Scope) -> bytes:
    """The token that a request brings; empty where it brings none that can be read."""
    value = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, rest = value.partition(b" ")
    if scheme.lower() == b"bearer":
        return bytes(rest.strip())
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""
