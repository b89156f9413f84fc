"""Model files: found by URI or by content hash, believed only by their hash."""

import hashlib
import os
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from shared.errors import LabelstreamError, RetryLater


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
        raise ModelRefused(f"model URI {uri!r} is not file:///...; register the model into the model directory")
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
    return content


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
