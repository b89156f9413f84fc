"""Children: a command of the user's own, its limits, and what it gets to know."""

import json
import sys
import textwrap
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from services.prelabel.training.domain.sets import Row
from services.prelabel.training.jobs.work import Made, TrainingFailed, TrainingRefused, Workshop
from services.prelabel.training.settings import TrainerSettings
from services.prelabel.training.store.files import write_set
from services.prelabel.training.store.kept import Kept
from services.prelabel.training.work.files import Report
from shared.bus.references import CurrentProject
from shared.events import FeaturesContent, Training
from shared.labels import ChoiceSchema
from shared.runtime.settings import KafkaSettings
from tests.support import onnx_models as make
from tests.support.events import project_spec

pytestmark = pytest.mark.timeout(60)
ROWS = [Row(f"h{n}", f"h{n}", make.MOODS[n % 3], 1.0) for n in range(6)]
CONTENTS = {f"h{n}": FeaturesContent(features=(float(n % 3),)).model_dump_json().encode() for n in range(6)}
BROKEN = '(place / "model.onnx").write_bytes(b"x"); (place / "manifest.json").write_text("{}")'
KNOWS = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncGenerator[Kept]:
    made = Kept(tmp_path / "kept")
    made.open()
    yield made
    made.close()


def workshop(kept: Kept, script: str = "", **more: object) -> Workshop:
    """With one command, `mine`, a Python script whose last argument is the directory."""
    file = kept.directory / "mine.py"
    file.write_text(
        "import json, os, pathlib, sys, time\nplace = pathlib.Path(sys.argv[-1])\n" + textwrap.dedent(script)
    )
    fields = {
        "kafka": KafkaSettings(security_protocol="PLAINTEXT", allow_insecure=True),
        "directory": kept.directory,
        "model_dir": kept.directory / "models",
        "commands": {"mine": [sys.executable, str(file)]},
        **more,
    }
    return Workshop(TrainerSettings.model_validate(fields), kept)


def project(**training: object) -> CurrentProject:
    spec = project_spec(
        data="features", label=ChoiceSchema(classes=make.MOODS), training=Training.model_validate(training)
    )
    return CurrentProject(spec.project, 1, spec, paused=False)


def training_set(kept: Kept) -> Path:
    return write_set(kept.sets_of("p"), "hash", ROWS, CONTENTS)


def writes(kept: Kept, rows: list[list[float]]) -> str:
    """A script that hands over a model made here."""
    model = kept.directory / "made.onnx"
    model.write_bytes(make.table_model(rows))
    manifest = make.table_manifest().model_dump_json()
    return f"""
        (place / "model.onnx").write_bytes(pathlib.Path({str(model)!r}).read_bytes())
        (place / "manifest.json").write_text({manifest!r})
        (place / "report.json").write_text(json.dumps({{"learner": "mine", "metrics": {{"loss": 0.5}}}}))
        seen = [sorted(each.name for each in place.iterdir()), json.loads((place / "job.json").read_text())]
        (place.parent.parent / "seen.json").write_text(json.dumps([*seen, dict(os.environ)]))
    """


async def test_a_command_of_ones_own(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_KAFKA_SASL_PASSWORD", "hidden")
    shop = workshop(kept, writes(kept, KNOWS))
    made = await shop.fit(project(command="mine"), training_set(kept))
    assert (made.report.learner, made.report.metrics, made.own) == ("mine", {"loss": 0.5}, {})
    files, job, environment = json.loads((kept.directory / "seen.json").read_text())
    assert {"job.json", "train.parquet"} <= set(files)
    assert (job["data"], job["seed"]) == ("features", 1)
    assert not [name for name in environment if name.startswith("LABELSTREAM")]
    assert "hidden" not in str(environment)
    assert not list(kept.jobs.iterdir()), "its directory is gone"
    answers = await shop.answers(shop.job(project(command="mine")), made.content, made.manifest, CONTENTS)
    assert [answers[f"h{n}"].category for n in range(3)] == list(make.MOODS)


async def test_what_a_command_says_against_it_is_the_reason(kept: Kept) -> None:
    shop = workshop(kept, '(place / "refused.json").write_text(\'{"why": "too few"}\'); sys.exit(3)')
    with pytest.raises(TrainingRefused, match=r"^too few$"):
        await shop.fit(project(command="mine"), training_set(kept))


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        ("sys.exit(1)", TrainingFailed, "ended with code 1"),
        ("pass", TrainingRefused, "wrote no model.onnx and manifest.json"),
        (
            '(place / "model.onnx").write_bytes(b"x"); (place / "manifest.json").write_text("{}")',
            TrainingRefused,
            "valid",
        ),
    ],
)
async def test_a_command_that_does_not_keep_the_contract(
    kept: Kept, script: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        await workshop(kept, script).fit(project(command="mine"), training_set(kept))


async def test_a_command_that_takes_too_long_is_ended(kept: Kept) -> None:
    shop = workshop(kept, "time.sleep(60)", timeout_s=0.5)
    started = time.monotonic()
    with pytest.raises(TrainingFailed, match=r"took longer than 0\.5 s"):
        await shop.fit(project(command="mine"), training_set(kept))
    assert time.monotonic() - started < 10


async def test_memory_is_limited(kept: Kept) -> None:
    shop = workshop(kept, "b'x' * (2 << 30)", memory_mb=512)
    with pytest.raises(TrainingFailed, match="ended with code 1"):
        await shop.fit(project(command="mine"), training_set(kept))


async def test_what_the_settings_do_not_name_is_refused(kept: Kept) -> None:
    with pytest.raises(TrainingRefused, match="COMMANDS has no command 'theirs'"):
        await workshop(kept).fit(project(command="theirs"), training_set(kept))
    with pytest.raises(TrainingRefused, match="ENCODERS has no encoder 'theirs'"):
        await workshop(kept).fit(project(encoder="theirs"), training_set(kept))


async def test_a_model_that_says_something_else_is_not_registered(kept: Kept) -> None:
    shop = workshop(kept)
    content = make.table_model(KNOWS)
    own = {f"h{n}": KNOWS[n] for n in range(3)}
    good = Made(content, make.table_manifest(), Report(), own)
    await shop.check(shop.job(project()), good, CONTENTS)
    bad = Made(content, make.table_manifest(), Report(), own | {"h1": KNOWS[2]})
    with pytest.raises(TrainingRefused, match="does not say what was trained"):
        await shop.check(shop.job(project()), bad, CONTENTS)
    broken = Made(make.wide_model(), make.table_manifest(), Report(), own)
    with pytest.raises(TrainingRefused, match="shape"):
        await shop.check(shop.job(project()), broken, CONTENTS)
