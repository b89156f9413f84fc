"""Model files in an S3-compatible store: `s3://bucket/key`, by content hash. Needs the extra `s3`.

Credentials, region and endpoint are boto3's own: its environment variables, its files, or the machine's role;
`AWS_ENDPOINT_URL_S3` names a store that is not Amazon's.
"""

import importlib
from typing import Any
from urllib.parse import urlsplit

from shared.errors import ConfigurationError, LabelstreamError

TIMEOUT_S, ATTEMPTS = 30, 3
NOTHING = "no-such-model"
MISSING = {"404", "NoSuchKey", "NoSuchBucket"}


class ObjectUnavailable(LabelstreamError):  # noqa: N818  # it is what happened
    """The store did not give or take the file now."""


def is_object(uri: str) -> bool:
    """Whether a URI, or a setting, names such a store."""
    return urlsplit(uri).scheme == "s3"


def _place(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc:
        raise ConfigurationError(f"{uri!r} is not s3://bucket/prefix")
    return parts.netloc, parts.path.lstrip("/")


def _client() -> Any:
    try:
        boto3, config = importlib.import_module("boto3"), importlib.import_module("botocore.config")
    except ImportError as error:
        raise ConfigurationError("models in S3 need boto3: pip install labelstream[s3]") from error
    settings = config.Config(
        connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"max_attempts": ATTEMPTS, "mode": "standard"}
    )
    return boto3.session.Session().client("s3", config=settings)


def _errors() -> tuple[type[Exception], ...]:
    found = importlib.import_module("botocore.exceptions")
    return (found.BotoCoreError, found.ClientError)


def read_object(uri: str, limit: int) -> bytes:
    """At most `limit` + 1 bytes of an object. Blocks: run it in a thread.

    Raises:
        ObjectUnavailable: the store does not answer, or has no such object.
        ConfigurationError: boto3 is not installed, or the URI names no object.
    """
    bucket, key = _place(uri)
    client = _client()
    try:
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
        try:
            content: bytes = body.read(limit + 1)
        finally:
            body.close()
    except _errors() as error:
        raise ObjectUnavailable(f"cannot read {uri}: {_reason(error)}") from error
    finally:
        client.close()
    return content


def write_object(store: str, name: str, content: bytes) -> str:
    """Put a file under a store's prefix; the same name again is left as it is, since names are hashes.

    Returns:
        Its URI.

    Raises:
        ObjectUnavailable: the store does not take it.
        ConfigurationError: boto3 is not installed, or `store` is not s3://bucket/prefix.
    """
    bucket, prefix = _place(store)
    key = f"{prefix.rstrip('/')}/{name}".lstrip("/")
    uri, client = f"s3://{bucket}/{key}", _client()
    try:
        if _size(client, bucket, key) != len(content):
            client.put_object(Bucket=bucket, Key=key, Body=content)
    except _errors() as error:
        raise ObjectUnavailable(f"cannot write {uri}: {_reason(error)}") from error
    finally:
        client.close()
    return uri


def reach(store: str) -> None:
    """Ask the store for an object that is not there. Blocks: run it in a thread.

    Raises:
        ObjectUnavailable: it does not answer, has no such bucket, or does not let these credentials read.
        ConfigurationError: as `write_object`.
    """
    bucket, prefix = _place(store)
    client = _client()
    try:
        client.get_object(Bucket=bucket, Key=f"{prefix.rstrip('/')}/{NOTHING}".lstrip("/"))["Body"].close()
    except _errors() as error:
        if _code(error) != "NoSuchKey":
            raise ObjectUnavailable(f"cannot read {store}: {_reason(error)}") from error
    finally:
        client.close()


def _size(client: Any, bucket: str, key: str) -> int | None:
    try:
        return int(client.head_object(Bucket=bucket, Key=key)["ContentLength"])
    except _errors() as error:
        if _code(error) in MISSING:
            return None
        raise


def _code(error: Exception) -> str:
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def _reason(error: Exception) -> str:
    """The store's own code, or the error's class: messages may hold credentials."""
    return _code(error) or type(error).__name__
