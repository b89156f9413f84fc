"""Real ONNX models of every decoder, from item to prediction; and manifests that are refused with a reason."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from cli.model import make_version, read_manifest
from services.prelabel.domain.preprocess import Pixels
from services.prelabel.store.images import decode_image
from services.prelabel.store.sessions import LoadedModel
from shared.errors import ConfigurationError
from shared.events import (
    Abstention,
    BoxesDecoder,
    Content,
    ImageInput,
    Manifest,
    MediaContent,
    ModelVersion,
    Prediction,
    ProjectSpec,
    TextContent,
    TextInput,
)
from shared.labels import Boxes, Masks, Segments, Spans, Transcript
from tests.support import onnx_decoders as make
from tests.support.events import AT
from tests.support.prelabel import PROJECT, Prelabel

Made = tuple[bytes, Manifest]
EXIF_ORIENTATION = 0x0112
REPOSITORY = Path(__file__).parents[3]


def serve(prelabel: Prelabel, made: Made, kind: str, data: str, classes: tuple[str, ...] = ()) -> None:
    content, manifest = made
    label: dict[str, Any] = {"kind": kind} | ({"classes": classes} if classes else {})
    prelabel.project((), data=data, label=label)
    prelabel.register(content, manifest)
    prelabel.promote("m1", 1)


async def ask(prelabel: Prelabel, contents: list[Content]) -> list[Prediction]:
    await prelabel.follower.start()
    found = await prelabel.predict(contents)
    slot = prelabel.live.slot(PROJECT)
    assert slot is not None
    assert slot.model is not None, slot.refusal
    return found


BOXES = np.array([
    [[0.0, 0.0, 0.5, 0.5], [0.02, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]],
    [[0.1, 0.1, 0.2, 0.2]] * 3,
    [[np.nan, 0.0, 0.5, 0.5]] * 3,
    [[0.1, 0.1, 0.2, 0.2]] * 3,
])  # fmt: skip
SCORES = np.array([[[0.9, 0.0], [0.8, 0.0], [0.1, 0.7]], [[0.1, 0.2]] * 3, [[0.9, 0.0]] * 3, [[0.9, 0.0]] * 3])


async def test_boxes_in_the_pixels_of_each_picture_and_a_bad_row_alone(prelabel: Prelabel) -> None:
    serve(prelabel, make.detector(BOXES, SCORES), "boxes", "image", make.ANIMALS)
    contents = [make.grey(0, (40, 20)), make.grey(2, (8, 8)), make.grey(0, (10, 10)), make.grey(1, (8, 8))]
    first, bad, small, nothing = await ask(prelabel, [*contents])
    for found, (width, height) in ((first, (20, 10)), (small, (5, 5))):
        assert isinstance(found.value, Boxes)
        assert [(b.x, b.y, b.width, b.height, b.label) for b in found.value.boxes] == [
            (0, 0, width, height, "cat"),
            (width, height, width, height, "dog"),
        ]
        assert found.object_scores == pytest.approx((0.9, 0.7))
        assert found.confidence == pytest.approx(0.7)
    assert nothing.value == Boxes(boxes=())
    assert nothing.object_scores == ()
    assert nothing.confidence == pytest.approx(0.8)
    assert (bad.abstention, bad.value) == (Abstention.BAD_OUTPUT, None)
    assert "NaN" in bad.detail


async def test_instances_of_a_picture(prelabel: Prelabel) -> None:
    masks = np.array([[[[0.9, 0.1]], [[0.1, 0.9]]]])
    serve(prelabel, make.instances(masks, np.array([[[0.9, 0.0], [0.0, 0.8]]])), "masks", "image", make.ANIMALS)
    (found,) = await ask(prelabel, [make.grey(0, (4, 2))])
    assert isinstance(found.value, Masks)
    assert [(m.label, m.counts) for m in found.value.masks] == [("cat", (0, 4, 4)), ("dog", (4, 4))]


async def test_a_convolution_cuts_a_picture_into_its_classes(prelabel: Prelabel) -> None:
    pixels = np.zeros((8, 8), dtype=np.uint8)
    pixels[:4, 4:], pixels[4:, :4] = 128, 255
    serve(prelabel, make.segmenter(), "masks", "image", make.ANIMALS)
    (found,) = await ask(prelabel, [make.picture(pixels)])
    assert isinstance(found.value, Masks)
    drawn = {}
    for mask in found.value.masks:
        flat = np.repeat(np.arange(len(mask.counts)) % 2, mask.counts)
        drawn[mask.label] = flat.reshape(8, 8).T
    assert np.array_equal(drawn["cat"], pixels == 128)
    assert np.array_equal(drawn["dog"], pixels == 255)


@pytest.mark.parametrize("how", [{}, {"in_file": True}, {"numbers": False}])
async def test_a_tagger_by_numbers_by_a_vocabulary_in_the_file_and_by_words(prelabel: Prelabel, how: Any) -> None:
    serve(prelabel, make.tagger(**how), "spans", "text", make.ENTITIES)
    text = "😀 Ann LEE   to Oslo"
    found = await ask(prelabel, [TextContent(text=text), TextContent(text=""), TextContent(text="Paris")])
    cut = []
    for one in found:
        assert isinstance(one.value, Spans)
        cut.append([(span.start, span.end, span.label) for span in one.value.spans])
    assert cut == [[(2, 9, "PER"), (15, 19, "LOC")], [], [(0, 5, "LOC")]]
    assert found[1].confidence == 1.0


async def test_segments_of_sound_at_any_rate(prelabel: Prelabel) -> None:
    serve(prelabel, make.listener(), "segments", "audio", make.SOUNDS)
    levels = [0.0, 0.6, 0.6, 0.9, 0.0]
    contents = [make.sound(levels), make.sound(levels, rate=2000), make.sound([0.7]), make.sound([0.1] * 60)]
    one, other, short, long = await ask(prelabel, [*contents])
    for found in (one, other, short):
        assert isinstance(found.value, Segments)
    assert isinstance(one.value, Segments)
    assert [(s.start, s.end, s.label) for s in one.value.segments] == [(0.1, 0.4, "speech"), (0.3, 0.4, "loud")]
    assert other.value == one.value
    assert one.object_scores == pytest.approx((0.7, 0.8), abs=1e-3)
    assert isinstance(short.value, Segments)
    assert [(s.start, s.end) for s in short.value.segments] == [(0.0, 0.1)]
    assert (long.abstention, long.value) == (Abstention.SHAPE, None)
    assert "the model reads at most 5 s" in long.detail


@pytest.mark.parametrize("beam", [1, 8])
async def test_text_of_sound(prelabel: Prelabel, beam: int) -> None:
    serve(prelabel, make.speller(beam), "transcript", "audio")
    loud = {"-": 0.0, "a": 0.3, "b": 0.6, " ": 0.9}
    said = [make.sound([loud[letter] for letter in word]) for word in ("a-ab", "b", "a b--a")]
    broken = MediaContent(kind="audio", data="UklGRg==")
    found = await ask(prelabel, [*said, broken])
    assert [one.value for one in found[:3]] == [Transcript(text=text) for text in ("aab", "b", "a ba")]
    assert [one.object_scores for one in found[:3]] == [None] * 3
    assert found[3].abstention is Abstention.UNREADABLE


async def test_a_batch_that_fails_is_halved_and_every_row_keeps_its_own_inputs(
    prelabel: Prelabel, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(prelabel, make.tagger(), "spans", "text", make.ENTITIES)
    run = LoadedModel.run

    def fails(model: LoadedModel, tensor: Any, beside: Any, *, features: bool = False) -> Any:
        if len(tensor) > 1:
            raise RuntimeError
        return run(model, tensor, beside, features=features)

    await ask(prelabel, [])
    monkeypatch.setattr(LoadedModel, "run", fails)
    found = await prelabel.predict([TextContent(text="to Ann Lee"), TextContent(text="Oslo"), TextContent(text="to")])
    assert [len(one.value.spans) for one in found if isinstance(one.value, Spans)] == [1, 1, 0]


def _manifest(made: Made, **changed: Any) -> Made:
    """The same with another manifest, as a file would give it."""
    content, manifest = made
    document = manifest.model_dump(exclude_defaults=True)
    for name in ("input", "decoder"):
        document[name] = {**getattr(manifest, name).model_dump(), **changed.pop(name, {})}
    return content, Manifest.model_validate({**document, **changed})


def detector() -> Made:
    return make.detector(BOXES, SCORES)


REFUSED: dict[str, tuple[Callable[[], Made], tuple[str, str, tuple[str, ...]], str]] = {
    "another kind of label": (detector, ("spans", "image", make.ANIMALS), "makes boxes, the project asks for spans"),
    "a class of another project": (detector, ("boxes", "image", ("cat",)), "'dog' is not a class of the project"),
    "an output that is not there": (
        lambda: _manifest(detector(), decoder={"boxes": "b"}),
        ("boxes", "image", make.ANIMALS),
        "no output of numbers 'b', which its decoder reads; it has",
    ),
    "too few columns": (
        lambda: _manifest(detector(), classes=("cat", "dog", "owl")),
        ("boxes", "image", ("cat", "dog", "owl")),
        "output 'scores' has shape (1, 3, 2), the manifest says (1, 3, 3)",
    ),
    "scores that are none": (
        lambda: _manifest(make.segmenter(), decoder={"activation": "none"}),
        ("masks", "image", make.ANIMALS),
        "see decoder.activation",
    ),
    "an input beside that is not there": (
        lambda: _manifest(make.tagger(), input={"mask_input": "attention"}),
        ("spans", "text", make.ENTITIES),
        "no input 'attention'",
    ),
    "an input too many": (
        lambda: _manifest(make.tagger(), input={"mask_input": None}),
        ("spans", "text", make.ENTITIES),
        "2 inputs ['ids', 'mask']",
    ),
    "no vocabulary": (
        lambda: _manifest(make.tagger(), input={"vocabulary": ()}),
        ("spans", "text", make.ENTITIES),
        "give input.vocabulary",
    ),
    "a vocabulary that is not in the file": (
        lambda: _manifest(make.tagger(in_file=True), input={"vocabulary_key": "words"}),
        ("spans", "text", make.ENTITIES),
        "no 'words', it has ['vocab']",
    ),
    "a vocabulary without its unknown": (
        lambda: _manifest(make.tagger(), input={"unknown": "<unk>"}),
        ("spans", "text", make.ENTITIES),
        "the vocabulary has no ['<unk>']",
    ),
    "letters that are fewer than the columns": (
        lambda: _manifest(make.speller(), decoder={"alphabet": ("", "a")}),
        ("transcript", "audio", ()),
        "shape (1, 10, 4), the manifest says (1, any, 2)",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
async def test_a_model_that_does_not_fit_its_decoder_is_refused(prelabel: Prelabel, fault: str) -> None:
    made, (kind, data, classes), reason = REFUSED[fault]
    serve(prelabel, made(), kind, data, classes)
    await prelabel.follower.start()
    slot = prelabel.live.slot(PROJECT)
    assert slot is not None
    assert reason in slot.refusal


TOKENS = {"kind": "tokens"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"classes": ()}, "needs at least one"),
    ({"decoder": {"kind": "detection", "boxes": "b", "scores": "s", "background": 3}}, "background: 3 is past the 3"),
    ({"decoder": {"kind": "detection", "boxes": "b", "scores": "s", "score_threshold": 1.0}}, "less than 1"),
    (
        {"decoder": {"kind": "detection", "boxes": "b", "scores": "s", "labels": "l", "objectness": True}},
        "with an output of labels",
    ),
    ({"decoder": {"kind": "token_tags", "scores": "s"}}, "name the output that has the offsets"),
    ({"input": {"kind": "tokens"}}, "boxes are found in an image, not in tokens"),
    (
        {"input": {"kind": "tokens"}, "decoder": {"kind": "token_tags", "scores": "s", "tags": ["O", "X-cat"]}},
        "tags[1]",
    ),
    ({"input": {"kind": "tokens"}, "decoder": {"kind": "token_tags", "scores": "s", "tags": ["B-cat"]}}, "no O"),
    ({"input": {"kind": "tokens", "tokenizer": {"kind": "pattern", "pattern": "(a"}}}, "pattern:"),
    ({"input": {"kind": "tokens", "tokenizer": {"kind": "wordpiece"}}}, "cuts words by it"),
    ({"decoder": {"kind": "ctc", "scores": "s", "alphabet": ["", "a"]}}, "has none; its symbols"),
    ({"classes": (), "decoder": {"kind": "ctc", "scores": "s", "alphabet": ["", "a"], "blank": 2}}, "blank: 2"),
    ({"temperature": 2.0}, "temperature: not used beside a decoder"),
    ({"decoder": None, "classes": ("a",)}, "at least two"),
    (
        {"input": TextInput(lowercase=True), "decoder": {"kind": "token_tags", "scores": "s", "offsets": "o"}},
        "offsets would no longer fit",
    ),
]


@pytest.mark.parametrize(("changed", "reason"), WRONG)
def test_a_manifest_that_contradicts_itself_is_refused(changed: dict[str, Any], reason: str) -> None:
    document = {
        "input": {"kind": "image", "width": 4, "height": 4},
        "classes": ("cat", "dog"),
        "decoder": {"kind": "detection", "boxes": "b", "scores": "s"},
    }
    Manifest.model_validate(document)
    with pytest.raises(ValidationError) as refused:
        Manifest.model_validate({**document, **changed})
    assert reason in str(refused.value)


def test_registering_checks_the_kinds_of_label_and_of_content(tmp_path: Path) -> None:
    content, manifest = make.detector(BOXES, SCORES)
    label = {"kind": "boxes", "classes": make.ANIMALS}
    spec = ProjectSpec.model_validate({"project": "p", "data": "image", "label": label})
    made = make_version(spec, content, manifest, tmp_path, version="v1", now=AT)
    assert ModelVersion.model_validate_json(made.model_dump_json()) == made
    for changed, reason in (
        ({"data": "video"}, "it reads image, the items of p are video"),
        ({"label": {**label, "kind": "polygons"}}, "makes boxes, the project asks for polygons"),
        ({"label": {**label, "classes": ("cat",)}}, "'dog' is not a class of the project"),
    ):
        other = ProjectSpec.model_validate({"project": "p", "data": "image", "label": label, **changed})
        with pytest.raises(ConfigurationError, match=reason):
            make_version(other, content, manifest, tmp_path, version="v1", now=AT)


def test_the_manifest_of_the_documentation_is_one(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "docs" / "models.md").read_text(), re.DOTALL)
    file = tmp_path / "manifest.yaml"
    file.write_text(block)
    found = read_manifest(file)
    assert found.decoder == BoxesDecoder(
        boxes="output0", scores="output0", transposed=True, format="cxcywh", score_threshold=0.3, iou_threshold=0.5
    )
    file.write_text(block.replace("cxcywh", "yxyx"))
    with pytest.raises(ConfigurationError, match=r"manifest.yaml:8:\d+: decoder.format: "):
        read_manifest(file)


def test_a_picture_is_turned_upright_as_people_see_it() -> None:
    picture, exif = Image.new("L", (6, 3)), Image.Exif()
    picture.putpixel((0, 0), 255)
    exif[EXIF_ORIENTATION] = 6  # to be turned by 90 degrees clockwise
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif)
    found = decode_image(file.getvalue(), ImageInput(width=3, height=6, channels=1), max_pixels=100)
    assert isinstance(found, Pixels)
    assert (found.width, found.height) == (3, 6)
    assert found.data.index(255) == 2  # the top left corner is now the top right one
