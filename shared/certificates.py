"""Why a server's certificate was not believed, and whether it was ours that was not."""

import ssl

EXPIRED, NOT_YET, HOSTNAME, ADDRESS = 10, 9, 62, 64
"""X509_V_ERR_* of OpenSSL."""
OF_OUR_CERTIFICATE = (
    "CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "CERTIFICATE_UNKNOWN", "CERTIFICATE_REVOKED",
    "UNSUPPORTED_CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE",
)  # fmt: skip


def untrusted(error: ssl.SSLCertVerificationError, who: str, ca_setting: str) -> str:
    """What to check.

    Args:
        error: as the handshake raised it.
        who: the server.
        ca_setting: where the CA to trust is given.
    """
    code = error.verify_code
    if code == EXPIRED:
        return f"the certificate of {who} has expired; renew it there (and check this machine's clock)"
    if code == NOT_YET:
        return f"the certificate of {who} is not valid yet; check the clocks"
    if code in (HOSTNAME, ADDRESS):
        return f"the certificate of {who} is for another host name ({error.verify_message}); use a name that it holds"
    return f"the certificate of {who} is not trusted ({error.verify_message}); check {ca_setting}"


def refuses_ours(error: ssl.SSLError) -> bool:
    """Whether the server ended the handshake over our certificate: none, expired, or of a CA that it does not know."""
    return any(word in (error.reason or "") for word in OF_OUR_CERTIFICATE)
