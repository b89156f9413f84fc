"""Secrets that everybody knows. A process that is given one refuses to start."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from shared.errors import ConfigurationError

LEAST_CHARACTERS = 8
LEAST_RANDOM_DIGITS = 16
LEAST_TOKEN_CHARACTERS = 32
LEAST_DISTINCT_CHARACTERS = 8
WELL_KNOWN_WORDS = (
    "changeme",
    "change-me",
    "change_me",
    "default",
    "example",
    "secret",
    "password",
    "passw0rd",
    "labelstream",
    "admin",
)
"""No token may hold one of these; a password may not be one of these, alone or with digits and signs around it."""
WELL_KNOWN = frozenset(
    {
        *WELL_KNOWN_WORDS, "postgres", "kafka", "letmein", "qwerty", "welcome", "test", "guest", "root", "user",
        "assignment", "qc", "monitor", "prelabel", "operator", "replaceme", "replace-me", "your-password",
        "yourpassword", "admin-secret", "alice-secret", "client-secret", "kafka-secret", "my-secret", "mysecret",
        "insecure", "dummy", "none", "null", "todo", "xxx",
    }
)  # fmt: skip
"""Of tutorials, images and examples."""
MAKE_ONE = "make one with `python -c 'import secrets; print(secrets.token_urlsafe(32))'`"


def weakness(secret: str, *, user: str = "") -> str | None:
    """Why a password must not be used, or None.

    Args:
        secret: the password itself; the answer never repeats it.
        user: the name that it belongs to.
    """
    plain = secret.strip().lower()
    core = plain.strip("0123456789!@#$%^&*()_+-=.,?<>{}[] ")
    if plain in WELL_KNOWN or core in WELL_KNOWN or (not core and len(plain) < LEAST_RANDOM_DIGITS):
        return f"is a well-known default; {MAKE_ONE}"
    if user and plain == user.strip().lower():
        return f"is the user's own name; {MAKE_ONE}"
    if len(secret) < LEAST_CHARACTERS:
        return f"has fewer than {LEAST_CHARACTERS} characters; {MAKE_ONE}"
    return None


def token_weakness(token: str) -> str | None:
    """Why an API token must not be used, or None: a token stands alone, so it must be long and random."""
    guessable = any(word in token.lower() for word in WELL_KNOWN_WORDS)
    if len(token) < LEAST_TOKEN_CHARACTERS or len(set(token)) < LEAST_DISTINCT_CHARACTERS or guessable:
        return f"is short or well known; {MAKE_ONE}, {LEAST_TOKEN_CHARACTERS} characters or more"
    return None


def given_token(token: SecretStr, file: Path | None, setting: str) -> str | None:
    """A token or key from its setting or its file, or None.

    Raises:
        ConfigurationError: the file cannot be read, or it is too short or one that everybody knows.
    """
    text = token.get_secret_value()
    if file is not None:
        try:
            text = file.read_text().strip()
        except OSError as error:
            raise ConfigurationError(f"the file of {setting} cannot be read: {error}") from error
    elif not text:
        return None
    why = token_weakness(text)
    if why is not None:
        raise ConfigurationError(f"{setting} {why}")
    return text


def url_weakness(url: str) -> str | None:
    """Why the password inside a URL must not be used, or None; also where there is none (a client certificate)."""
    parts = urlsplit(url)
    if parts.password is None:
        return None
    return weakness(unquote(parts.password), user=unquote(parts.username or ""))
