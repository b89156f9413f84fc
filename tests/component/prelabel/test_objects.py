"""Models in an S3-compatible store, over HTTP to a server of this process."""

from collections.abc import Generator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from services.prelabel.store.files import ModelRefused, ModelUnavailable, path_in, read_model, sha256_of, store_model
from services.prelabel.store.objects import ObjectUnavailable, reach, read_object, write_object
from shared.errors import ConfigurationError
from shared.events import FeaturesContent
from tests.support import onnx_models as make
from tests.support.prelabel import PROJECT, Prelabel

STORE = "s3://models/labelstream"
CONTENT = make.constant_model(0.2, 0.7, 0.1)
LIMIT = 10**6


@pytest.fixture(scope="module")
def server() -> Generator[str]:
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture(autouse=True)
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "AWS_ENDPOINT_URL_S3": server,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="models")
    client.close()
    return server


def stored(uri: str, directory: Path, *, sha256: str = "") -> bytes:
    return read_model(
        uri, sha256=sha256 or sha256_of(CONTENT), size_bytes=len(CONTENT), directory=directory, max_bytes=LIMIT
    )


def test_a_model_is_kept_under_its_hash_and_a_copy_stays_here(tmp_path: Path) -> None:
    uri = store_model(CONTENT, directory=tmp_path, store=STORE)
    assert uri == f"{STORE}/{sha256_of(CONTENT)}.onnx"
    assert store_model(CONTENT, directory=tmp_path, store=f"{STORE}/") == uri
    assert not list(tmp_path.iterdir())
    assert stored(uri, tmp_path) == CONTENT
    assert path_in(tmp_path, sha256_of(CONTENT)).read_bytes() == CONTENT
    assert stored("s3://models/gone.onnx", tmp_path) == CONTENT, "from the copy"


def test_what_is_there_is_believed_by_its_hash_alone(tmp_path: Path) -> None:
    uri = write_object(STORE, "other.onnx", CONTENT + b"x")
    with pytest.raises(ModelRefused, match="or more bytes"):
        stored(uri, tmp_path)
    uri = write_object(STORE, "swapped.onnx", bytes(reversed(CONTENT)))
    with pytest.raises(ModelRefused, match="sha256"):
        stored(uri, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_store_answers_for_what_is_not_there() -> None:
    reach(STORE)
    with pytest.raises(ObjectUnavailable, match="NoSuchBucket"):
        reach("s3://nowhere/labelstream")


def test_a_large_object_is_not_read_whole() -> None:
    uri = write_object(STORE, "large.onnx", b"x" * 5000)
    assert len(read_object(uri, 100)) == 101


def test_what_is_missing_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="NoSuchKey"):
        stored(f"{STORE}/missing.onnx", tmp_path)
    with pytest.raises(ObjectUnavailable, match="NoSuchBucket"):
        write_object("s3://nowhere/models", "a.onnx", CONTENT)


def test_a_store_that_does_not_answer_names_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(ModelUnavailable, match="EndpointConnectionError") as caught:
        stored(f"{STORE}/a.onnx", tmp_path)
    assert "not-a-secret" not in str(caught.value)


def test_a_store_without_a_bucket_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="is not s3://bucket/prefix"):
        write_object("s3://", "a.onnx", CONTENT)


async def test_prelabel_serves_a_model_from_the_store(prelabel: Prelabel) -> None:
    prelabel.project(make.MOODS)
    uri = store_model(CONTENT, directory=prelabel.directory / "unused", store=STORE)
    prelabel.register(CONTENT, make.table_manifest(), uri=uri)
    path_in(prelabel.directory, sha256_of(CONTENT)).unlink()
    prelabel.promote("m1", 1)
    await prelabel.follower.start()
    slot = prelabel.live.slot(PROJECT)
    assert slot is not None
    assert slot.refusal == ""
    (found,) = await prelabel.predict([FeaturesContent(features=(0.0,))])
    assert found.model_version == "m1"
