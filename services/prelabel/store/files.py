"""Model files: found by URI or by content hash, believed only by their hash."""

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from services.prelabel.store.objects import ObjectUnavailable, is_object, read_object, write_object
from shared.errors import ConfigurationError, LabelstreamError, RetryLater


class ModelRefused(LabelstreamError):  # noqa: N818  # it is what happened
    """This model version can never serve here: the message says why and what to do."""


class ModelUnavailable(RetryLater):
    """The file could not be read now; it is tried again."""


def sha256_of(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def path_in(directory: Path, sha256: str) -> Path:
    """Where the model directory keeps the file with this hash."""
    return directory / f"{sha256}.onnx"


def _local_path(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise ModelRefused(f"model URI {uri!r} is not file:///... or s3://...; register the model again")
    return Path(unquote(parts.path))


def _read_regular(path: Path, limit: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ModelRefused(f"{path} is not a regular file")
        return file.read(limit + 1)


def read_model(uri: str, *, sha256: str, size_bytes: int, directory: Path, max_bytes: int) -> bytes:
    """The verified bytes of a model file, by its hash in `directory`, else by its URI.

    Raises:
        ModelRefused: the bytes are not those that were registered, or too many.
        ModelUnavailable: the file cannot be read now.
    """
    if size_bytes > max_bytes:
        raise ModelRefused(f"the model has {size_bytes} bytes, the limit is {max_bytes}")
    kept = path_in(directory, sha256)
    remote = is_object(uri) and not kept.exists()
    path: Path | str = uri
    if remote:
        content = _download(uri, size_bytes)
    else:
        path = kept if kept.exists() else _local_path(uri)
        try:
            content = _read_regular(path, size_bytes)
        except OSError as error:
            raise ModelUnavailable(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) != size_bytes:
        more = " or more" if len(content) > size_bytes else ""
        raise ModelRefused(f"{path} has {len(content)}{more} bytes, {size_bytes} were registered")
    found = sha256_of(content)
    if found != sha256:
        raise ModelRefused(f"{path} has sha256 {found}, {sha256} was registered")
    if remote:
        with contextlib.suppress(OSError):  # it serves all the same, and is fetched again at the next start
            keep_model(content, directory)
    return content


def _download(uri: str, size_bytes: int) -> bytes:
    try:
        return read_object(uri, size_bytes)
    except ObjectUnavailable as error:
        raise ModelUnavailable(str(error)) from error
    except ConfigurationError as error:
        raise ModelRefused(str(error)) from error


def store_model(content: bytes, *, directory: Path, store: str = "") -> str:
    """Keep a model file under its hash: in the object store, where there is one, else in the directory.

    Returns:
        Its URI.

    Raises:
        OSError: the directory cannot be written.
        ObjectUnavailable: the object store does not take it.
        ConfigurationError: the store is not s3://bucket/prefix, or boto3 is not installed.
    """
    if store:
        return write_object(store, f"{sha256_of(content)}.onnx", content)
    return keep_model(content, directory).resolve().as_uri()


def keep_model(content: bytes, directory: Path) -> Path:
    """Put a model file into the directory under its hash, whole or not at all (write, fsync, rename, fsync).

    Raises:
        OSError: the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = path_in(directory, sha256_of(content))
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return path
