"""PostgreSQL's refusals in words: who refused what, and what to check."""

import ssl
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from shared.certificates import refuses_ours, untrusted

NO_TLS = "rejected SSL upgrade"
"""What asyncpg says of a server that has none."""


def explain(error: BaseException, url: str) -> str | None:
    """What to check, or None where nobody refused anything.

    Args:
        error: as the driver raised it.
        url: of the connection; of it, the answer names role, server and database, never the password.
    """
    parts = urlsplit(url)
    role, server = unquote(parts.username or ""), f"PostgreSQL at {parts.hostname}:{parts.port or 5432}"
    if isinstance(error, ssl.SSLCertVerificationError):
        root = parse_qs(parts.query).get("sslrootcert", ["~/.postgresql/root.crt"])[0]
        return untrusted(error, server, f"sslrootcert ({root}) in database_url")
    if isinstance(error, ssl.SSLError) and refuses_ours(error):
        return f"{server} refuses our client certificate; check sslcert and sslkey in database_url"
    if isinstance(error, ssl.SSLError) and error.library in ("PEM", "X509"):
        return f"the certificate files that database_url names cannot be used ({error.reason}); check sslrootcert"
    if isinstance(error, ConnectionError) and NO_TLS in str(error):
        return f"{server} has no TLS, which sslmode in database_url asks for; set ssl = on there"
    if isinstance(error, asyncpg.InvalidPasswordError):
        return f"{server} refuses the password of role {role!r}; check database_url"
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return f"{server} has no database {parts.path.removeprefix('/')!r}; check database_url"
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return f"{server} does not let role {role!r} do this ({error}); see deploy/postgres/roles.sh"
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return f"{server} does not let role {role!r} in ({error}); check database_url and the server's pg_hba.conf"
    return None
