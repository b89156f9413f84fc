"""Fitting and asking: what is exported says what was fitted, and the same data gives the same file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from services.prelabel.training.domain.checking import mismatch
from services.prelabel.training.domain.encoders import Encoder
from services.prelabel.training.work import learners
from services.prelabel.training.work.answer import answer
from services.prelabel.training.work.files import (
    ANSWERS,
    CONTENTS,
    MANIFEST,
    MODEL,
    OWN,
    TRAIN,
    Job,
    Refused,
    read_columns,
    read_manifest,
    read_report,
    write_table,
)
from services.prelabel.training.work.fit import Data, choose, fit
from services.prelabel.training.work.learners import Trees
from services.prelabel.training.work.text import cut
from shared.events import Content, FeaturesInput, ImageInput, Manifest, MediaContent, TextContent, TextInput
from shared.labels import ChoiceSchema
from tests.support import onnx_models as make
from tests.support.trained import digits

pytestmark = pytest.mark.timeout(120)
MOODS = ("negative", "neutral", "positive")
WORDS = {
    "negative": ("bad", "schlecht", "ужасно", "最悪"),
    "neutral": ("Table", "Straße", "стол", "机"),
    "positive": ("GOOD", "schön", "хорошо", "最高"),
}


def learn(directory: Path, data: Any, contents: Sequence[Content], labels: Sequence[str], **more: Any) -> Path:
    """Fit, then ask about the same contents."""
    directory.mkdir()
    classes = tuple(sorted(set(labels)))
    Job(project="p", data=data, label=ChoiceSchema(classes=classes), seed=1, **more).write(directory)
    names = [f"h{number}" for number in range(len(contents))]
    texts = [one.model_dump_json() for one in contents]
    columns = {"content_hash": names, "content": texts, "label": labels, "weight": [1.0] * len(names), "group": names}
    write_table(directory / TRAIN, columns)
    write_table(directory / CONTENTS, {"content_hash": names, "content": texts})
    fit(directory)
    answer(directory)
    return directory


def agrees(directory: Path) -> str | None:
    own = dict(zip(*read_columns(directory / OWN, "content_hash", "probabilities"), strict=True))
    asked = dict(zip(*read_columns(directory / ANSWERS, "content_hash", "probabilities"), strict=True))
    return mismatch(own, asked)


def accuracy(directory: Path, labels: Sequence[str]) -> float:
    (said,) = read_columns(directory / ANSWERS, "category")
    return float(np.mean([one == other for one, other in zip(said, labels, strict=True)]))


def texts(number: int) -> tuple[list[TextContent], list[str]]:
    random, contents, labels = np.random.default_rng(2), [], []
    for place in range(number):
        mood = MOODS[place % 3]
        words = [*random.choice(WORDS[mood], 2), *random.choice(["the", "und", "она", "x_y", "2.5"], 4)]
        contents.append(TextContent(text=" ".join(random.permutation(words).tolist()) + "!"))
        labels.append(mood)
    return contents, labels


def test_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels have one scale, and more landmarks are better: the best of the others is compared so, and exported so."""
    monkeypatch.setattr(learners, "LANDMARKS", 100)
    monkeypatch.setattr(learners, "MANY_LANDMARKS", 200)
    some = digits()[:200]
    truths = [one.truth for one in some]
    for name in ("one", "two"):
        learn(tmp_path / name, "features", [one.content for one in some], truths)
    assert agrees(tmp_path / "one") is None
    assert accuracy(tmp_path / "one", truths) > 0.9
    assert (tmp_path / "one" / MODEL).read_bytes() == (tmp_path / "two" / MODEL).read_bytes()
    manifest = read_manifest(tmp_path / "one")
    assert isinstance(manifest.input, FeaturesInput)
    assert manifest.temperature != 1.0
    report = read_report(tmp_path / "one")
    assert 0.0 < report.metrics["cv_log_loss"] < 1.0
    assert report.learner.endswith("200 landmarks, one scale for all features")


def test_features_of_different_units_keep_a_scale_each() -> None:
    """One scale would be that of the number of the largest unit, which says nothing here."""
    random = np.random.default_rng(5)
    table = random.normal(size=(120, 3))
    answers = (table[:, 0] * table[:, 1] > 0.0).astype(np.intp)
    data = Data(table, answers, np.ones(120), np.arange(120), ("no", "yes"))
    for scale, one in (((1.0, 1.0, 0.01), True), ((1.0, 2.0, 1000.0), False)):
        compared = [learners.refined(table, 1.5, 30.0, np.array(scale))]
        chosen, _, _ = choose(data, compared, 0)
        assert ("one scale" in chosen.name) is one


def test_pictures(tmp_path: Path) -> None:
    some = digits()[:150]
    drawn = [make.png(np.array(one.content.features).reshape(8, 8) * 15) for one in some]
    contents = [*(MediaContent(kind="image", data=each) for each in drawn), MediaContent(kind="image", uri="file:///x")]
    learn(tmp_path / "job", "image", contents, [*(one.truth for one in some), "1"])
    manifest = read_manifest(tmp_path / "job")
    assert manifest.input == ImageInput(width=8, height=8, channels=1, layout="flat")
    assert agrees(tmp_path / "job") is None
    (said,) = read_columns(tmp_path / "job" / ANSWERS, "category")
    assert said[-1] == "", "a picture that is not here is left out, and the model abstains on it"


def test_texts_of_any_script(tmp_path: Path) -> None:
    contents, labels = texts(120)
    odd = [TextContent(text=""), TextContent(text="!!!"), TextContent(text="GOOD\u0301 x\x02y" + " a" * 3000)]
    learn(tmp_path / "job", "text", [*contents, *odd], [*labels, "neutral", "neutral", "neutral"])
    assert isinstance(read_manifest(tmp_path / "job").input, TextInput)
    assert agrees(tmp_path / "job") is None
    assert accuracy(tmp_path / "job", [*labels, "neutral", "neutral", "neutral"]) > 0.95


def test_words_are_runs_of_letters_and_digits() -> None:
    rows = np.array([["Straße x_y 2.5 最高の朝 don't"], [""], ["..."]], dtype=object)
    assert list(cut(rows)) == [["Straße", "x", "y", "2", "5", "最高の朝", "don", "t"], [], []]


def test_trees_are_exported_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.prelabel.training.work.fit.learners", lambda *_, **__: [Trees.learner(20)])
    some = digits()[:150]
    learn(tmp_path / "job", "features", [one.content for one in some], [one.truth for one in some])
    assert agrees(tmp_path / "job") is None
    assert read_manifest(tmp_path / "job").output == "probabilities"


def test_two_classes(tmp_path: Path) -> None:
    some = [one for one in digits()[:600] if one.truth in "01"]
    learn(tmp_path / "job", "features", [one.content for one in some], [one.truth for one in some])
    assert agrees(tmp_path / "job") is None
    assert accuracy(tmp_path / "job", [one.truth for one in some]) > 0.97


def test_an_encoder_of_ones_own(tmp_path: Path) -> None:
    """The exported model holds the encoder: it reads what the encoder reads."""
    weights = np.random.default_rng(0).normal(size=(64, 20)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["pixels", "w"], ["mixed"]), helper.make_node("Tanh", ["mixed"], ["vector"])],
        "encoder",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["batch", 20])],
        initializer=[numpy_helper.from_array(weights, "w")],
    )
    path = tmp_path / "encoder.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    encoder = Encoder(path=path, input=FeaturesInput(size=64, mean=(8.0,) * 64, scale=(40.0,) * 64))
    some = digits()[:200]
    learn(tmp_path / "job", "features", [one.content for one in some], [one.truth for one in some], encoder=encoder)
    assert agrees(tmp_path / "job") is None
    assert accuracy(tmp_path / "job", [one.truth for one in some]) > 0.6
    manifest = read_manifest(tmp_path / "job")
    assert (manifest.features_output, (manifest.features_space or "")[:8]) == ("vector", "encoder/")
    session = onnxruntime.InferenceSession((tmp_path / "job" / MODEL).read_bytes())
    (given,) = session.run(["vector"], {"pixels": np.ones((1, 64), dtype=np.float32)})
    assert given[0] == pytest.approx(np.tanh(weights.sum(axis=0)), abs=1e-5)


def test_one_class_teaches_nothing(tmp_path: Path) -> None:
    contents, _ = texts(20)
    with pytest.raises(Refused, match="labels of one class only: a"):
        learn(tmp_path / "job", "text", contents, ["a"] * 19 + ["b"])


def test_a_wrong_kind_of_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="audio cannot be learned from here"):
        learn(tmp_path / "job", "audio", [MediaContent(kind="audio", uri="file:///a.wav")] * 4, ["a", "b"] * 2)
    with pytest.raises(Refused, match="none of the labelled pictures"):
        learn(tmp_path / "uris", "image", [MediaContent(kind="image", uri="file:///a.png")] * 4, ["a", "b"] * 2)


def test_an_export_that_lies_is_noticed(tmp_path: Path) -> None:
    """The check compares the file that will serve with the predictions of who fitted it."""
    some = digits()[:120]
    learn(tmp_path / "job", "features", [one.content for one in some], [one.truth for one in some])
    manifest = read_manifest(tmp_path / "job")
    spoiled = Manifest(**manifest.model_dump() | {"temperature": manifest.temperature * 1.5})
    (tmp_path / "job" / MANIFEST).write_text(spoiled.model_dump_json())
    answer(tmp_path / "job")
    assert "is off by" in (agrees(tmp_path / "job") or "")
