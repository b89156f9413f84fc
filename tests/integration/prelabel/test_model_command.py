"""`labelstream model`, as a person calls it, on the embedded broker."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.__main__ import main
from cli.project.commands import apply_spec
from shared.bus.admin import create_topics
from shared.events import ProjectSpec
from shared.labels import ChoiceSchema
from shared.runtime.settings import KafkaSettings
from tests.support import onnx_models as make
from tests.support.events import AT

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def files(tansu_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that is applied, two models with a manifest, and the environment that finds the broker."""

    async def prepare() -> None:
        await create_topics(tansu_settings, partitions=1)
        await apply_spec(
            tansu_settings, ProjectSpec(project="p", data="features", label=ChoiceSchema(classes=make.MOODS)), now=AT
        )

    asyncio.run(prepare())
    for name, value in {
        "KAFKA_BOOTSTRAP": tansu_settings.bootstrap,
        "KAFKA_PREFIX": tansu_settings.prefix,
        "KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
        "KAFKA_ALLOW_INSECURE": "true",
        "KAFKA_IDEMPOTENCE": "false",
        "PRELABEL_MODEL_DIR": str(tmp_path / "models"),
    }.items():
        monkeypatch.setenv(f"LABELSTREAM_{name}", value)
    (tmp_path / "a.onnx").write_bytes(make.constant_model(0.2, 0.7, 0.1))
    (tmp_path / "b.onnx").write_bytes(make.constant_model(0.1, 0.1, 0.8))
    (tmp_path / "nan.onnx").write_bytes(make.constant_model(float("nan"), 0.5, 0.5))
    manifest = make.table_manifest().model_dump(mode="json", exclude_none=True)
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[dict[str, Any], str]:
    with pytest.raises(SystemExit) as exiting:
        main(["model", *arguments, "--json"])
    printed = capsys.readouterr()
    assert exiting.value.code == code, printed.err
    return json.loads(printed.out or "{}"), printed.err


def register(files: Path, name: str, *more: str) -> list[str]:
    manifest = str(files / "manifest.yaml")
    return ["register", "--project", "p", "--file", str(files / name), "--manifest", manifest, *more]


def test_the_life_of_a_model(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = run(capsys, *register(files, "a.onnx"))
    assert first["version"] == first["sha256"][:12]
    assert (files / "models" / f"{first['sha256']}.onnx").read_bytes() == (files / "a.onnx").read_bytes()
    assert run(capsys, *register(files, "a.onnx"))[0] == first
    run(capsys, *register(files, "b.onnx", "--version", "better"))
    assert run(capsys, "promote", "-p", "p", first["version"])[0]["generation"] == 1
    assert run(capsys, "promote", "-p", "p", "better")[0]["generation"] == 2
    listed = {row["version"]: row["live"] for row in run(capsys, "list", "-p", "p")[0]["models"]}
    assert listed == {first["version"]: False, "better": True}
    back, _ = run(capsys, "rollback", "-p", "p")
    assert (back["version"], back["generation"], back["previous"]) == (first["version"], 3, "better")


def test_what_prelabel_would_refuse_is_not_registered(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, why = run(capsys, *register(files, "nan.onnx"), code=1)
    assert "the model is refused" in why
    assert "NaN" in why
    assert run(capsys, "list")[0]["models"] == []
    assert not (files / "models").exists()


def test_a_name_is_taken_once(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, *register(files, "a.onnx", "--version", "v1"))
    _, why = run(capsys, *register(files, "b.onnx", "--version", "v1"), code=1)
    assert "registered with another file" in why


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["promote", "-p", "p", "nothing"], "has no model version nothing"),
        (["rollback", "-p", "p"], "no earlier live model"),
        (["register", "-p", "q", "-f", "a.onnx", "-m", "manifest.yaml"], "project q is unknown"),
        (["register", "-p", "p", "-f", "gone.onnx", "-m", "manifest.yaml"], "give the path of an ONNX file"),
        (["register", "-p", "p", "-f", "a.onnx", "-m", "gone.yaml"], "give the path of a manifest"),
    ],
)
def test_mistakes_are_one_line(files: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str) -> None:
    placed = [str(files / one) if one.endswith((".onnx", ".yaml")) else one for one in arguments]
    _, printed = run(capsys, *placed, code=1)
    assert why in printed
    assert len(printed.strip().splitlines()) == 1


def test_a_manifest_is_read_strictly(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = files / "manifest.yaml"
    manifest.write_text("input:\n  kind: features\n  size: 1\nclases: [a, b]\nclasses: [only]\n")
    _, why = run(capsys, *register(files, "a.onnx"), code=1)
    assert "manifest.yaml:4:" in why
    assert "clases" in why
    assert "manifest.yaml:5:" in why
