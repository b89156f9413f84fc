"""Small ONNX models whose outputs are boxes, tags, masks, symbols or frames, each with the manifest that decodes it."""

import base64
import io
from typing import Any

import numpy as np
import onnx
import soundfile
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from shared.events import (
    AudioInput,
    BoxesDecoder,
    CtcDecoder,
    FramesDecoder,
    ImageInput,
    InstanceMasksDecoder,
    Manifest,
    MediaContent,
    SemanticMasksDecoder,
    TagsDecoder,
    TokensInput,
)

OPSET = 17
FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
ANIMALS = ("cat", "dog")
ENTITIES = ("PER", "LOC")
SOUNDS = ("speech", "loud")
WORDS = ("[PAD]", "[UNK]", "ann", "lee", "paris", "oslo", "to")
LETTERS = ("", "a", "b", " ")
HOP = 100
RATE = 1000


def model(
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    tensors: dict[str, Any],
    metadata: dict[str, str] | None = None,
) -> bytes:
    """A model file."""
    held = [numpy_helper.from_array(np.asarray(array), name) for name, array in tensors.items()]
    graph = helper.make_graph(nodes, "made", inputs, outputs, initializer=held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    helper.set_model_props(made, metadata or {})
    return bytes(made.SerializeToString())


def _info(name: str, kind: int, *shape: Any) -> Any:
    return helper.make_tensor_value_info(name, kind, list(shape))


def looked_up(tables: dict[str, NDArray[Any]]) -> bytes:
    """A picture of one grey pixel of brightness n gives row n of each table; the last row for all that are brighter."""
    last = len(next(iter(tables.values()))) - 1
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["grey"]),
        helper.make_node("Mul", ["grey", "white"], ["bright"]),
        helper.make_node("Round", ["bright"], ["whole"]),
        helper.make_node("Clip", ["whole", "zero", "last"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["row"], to=INT64),
        *(helper.make_node("Gather", [f"{name}_table", "row"], [name], axis=0) for name in tables),
    ]
    tensors: dict[str, Any] = {f"{name}_table": table.astype(np.float32) for name, table in tables.items()}
    tensors |= {"flat": np.array([-1]), "white": np.float32(255), "zero": np.float32(0), "last": np.float32(last)}
    outputs = [_info(name, FLOAT, "N", *table.shape[1:]) for name, table in tables.items()]
    return model(nodes, [_info("x", FLOAT, "N", 1, 1, 1)], outputs, tensors)


def grey(level: int, size: tuple[int, int]) -> MediaContent:
    """A picture of one colour, `size` = width, height."""
    return picture(np.full((size[1], size[0]), level, dtype=np.uint8))


def picture(pixels: NDArray[Any]) -> MediaContent:
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return MediaContent(kind="image", data=base64.b64encode(buffer.getvalue()).decode())


ONE_PIXEL = ImageInput(width=1, height=1, channels=1)


def detector(boxes: NDArray[Any], scores: NDArray[Any]) -> tuple[bytes, Manifest]:
    """Boxes (rows, n, 4) as shares of the picture, scores (rows, n, 2), looked up by brightness."""
    decoder = BoxesDecoder(boxes="boxes", scores="scores", coordinates="normalised", score_threshold=0.5)
    return (
        looked_up({"boxes": boxes, "scores": scores}),
        Manifest(input=ONE_PIXEL, classes=ANIMALS, decoder=decoder, max_batch=16),
    )


def instances(masks: NDArray[Any], scores: NDArray[Any]) -> tuple[bytes, Manifest]:
    """Masks (rows, n, h, w) and scores (rows, n, 2), looked up by brightness."""
    decoder = InstanceMasksDecoder(masks="masks", scores="scores", masks_activation="none")
    return (
        looked_up({"masks": masks, "scores": scores}),
        Manifest(input=ONE_PIXEL, classes=ANIMALS, decoder=decoder, max_batch=16),
    )


def segmenter(side: int = 4) -> tuple[bytes, Manifest]:
    """A convolution of one pixel: dark is background, grey is a cat, bright is a dog."""
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["scores"])]
    weights = {"w": np.array([-20.0, 0.0, 20.0], dtype=np.float32).reshape(3, 1, 1, 1)}
    weights["b"] = np.array([6.0, 0.0, -14.0], dtype=np.float32)
    content = model(
        nodes, [_info("x", FLOAT, "N", 1, side, side)], [_info("scores", FLOAT, "N", 3, side, side)], weights
    )
    decoder = SemanticMasksDecoder(scores="scores", activation="softmax", background=0)
    return content, Manifest(input=ImageInput(width=side, height=side, channels=1), classes=ANIMALS, decoder=decoder)


def tagger(*, numbers: bool = True, in_file: bool = False) -> tuple[bytes, Manifest]:
    """A lexicon: each word has its tag, whatever is beside it; told by numbers, or by the words themselves."""
    strong, tags = 6.0, {"ann": 1, "lee": 2, "paris": 3, "oslo": 3}
    table = np.zeros((len(WORDS), 5), dtype=np.float32)
    for number, word in enumerate(WORDS):
        table[number, tags.get(word, 0)] = strong
    tensors: dict[str, Any] = {"table": table}
    if numbers:
        nodes = [
            helper.make_node("Gather", ["table", "ids"], ["raw"], axis=0),
            helper.make_node("Cast", ["mask"], ["seen"], to=FLOAT),
            helper.make_node("Unsqueeze", ["seen", "last"], ["wide"]),
            helper.make_node("Mul", ["raw", "wide"], ["scores"]),
        ]
        inputs = [_info("ids", INT64, "N", "T"), _info("mask", INT64, "N", "T")]
        tensors["last"] = np.array([2])
    else:
        nodes = [
            helper.make_node("LabelEncoder", ["words"], ["ids"], domain="ai.onnx.ml", keys_strings=[*WORDS],
                             values_int64s=[*range(len(WORDS))], default_int64=1),
            helper.make_node("Gather", ["table", "ids"], ["scores"], axis=0),
        ]  # fmt: skip
        inputs = [_info("words", STRING, "N", "T")]
    content = model(nodes, inputs, [_info("scores", FLOAT, "N", "T", 5)], tensors, {"vocab": "\n".join(WORDS)})
    if not numbers:
        made = onnx.load_model_from_string(content)
        made.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
        content = bytes(made.SerializeToString())
    spec = TokensInput(
        lowercase=True,
        vocabulary=WORDS if numbers and not in_file else (),
        vocabulary_key="vocab" if numbers and in_file else None,
        mask_input="mask" if numbers else None,
    )
    return content, Manifest(input=spec, classes=ENTITIES, decoder=TagsDecoder(scores="scores"))


def sound(levels: list[float], rate: int = RATE) -> MediaContent:
    """A WAV whose loudness is constant over each hop."""
    samples = np.repeat(np.array(levels, dtype=np.float32), HOP * rate // RATE)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype="FLOAT")
    return MediaContent(kind="audio", data=base64.b64encode(buffer.getvalue()).decode())


def listener() -> tuple[bytes, Manifest]:
    """The mean of each hop's samples, m: speech has score m, loud 2m - 1; padded to whole hops by the model."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["length"]),
        helper.make_node("Mod", ["length", "hop"], ["rest"]),
        helper.make_node("Sub", ["hop", "rest"], ["missing"]),
        helper.make_node("Mod", ["missing", "hop"], ["pad"]),
        helper.make_node("Concat", ["nothing", "pad"], ["pads"], axis=0),
        helper.make_node("Pad", ["x", "pads"], ["padded"]),
        helper.make_node("Reshape", ["padded", "framed"], ["frames"]),
        helper.make_node("ReduceMean", ["frames"], ["mean"], axes=[2], keepdims=1),
        helper.make_node("Mul", ["mean", "slope"], ["sloped"]),
        helper.make_node("Sub", ["sloped", "offset"], ["moved"]),
        helper.make_node("Clip", ["moved", "low", "high"], ["scores"]),
    ]
    tensors = {
        "one": np.array([1]),
        "hop": np.array([HOP]),
        "nothing": np.array([0, 0, 0]),
        "framed": np.array([0, -1, HOP]),
        "slope": np.array([1.0, 2.0], dtype=np.float32),
        "offset": np.array([0.0, 1.0], dtype=np.float32),
        "low": np.float32(0),
        "high": np.float32(1),
    }
    content = model(nodes, [_info("x", FLOAT, "N", "S")], [_info("scores", FLOAT, "N", "T", 2)], tensors)
    decoder = FramesDecoder(scores="scores", hop_s=HOP / RATE, activation="none")
    return content, Manifest(input=AudioInput(sample_rate=RATE, max_s=5.0), classes=SOUNDS, decoder=decoder)


def speller(beam: int = 1) -> tuple[bytes, Manifest]:
    """Writes a letter by the loudness of each hop: silence is the blank, then a, b and a space; with its lengths."""
    nodes = [
        helper.make_node("Reshape", ["x", "framed"], ["frames"]),
        helper.make_node("ReduceMean", ["frames"], ["mean"], axes=[2], keepdims=1),
        helper.make_node("Sub", ["mean", "levels"], ["apart"]),
        helper.make_node("Mul", ["apart", "apart"], ["square"]),
        helper.make_node("Mul", ["square", "sharp"], ["scores"]),
        helper.make_node("Div", ["samples", "hop"], ["lengths"]),
    ]
    tensors = {
        "framed": np.array([0, -1, HOP]),
        "levels": np.array([0.0, 0.3, 0.6, 0.9], dtype=np.float32),
        "sharp": np.float32(-200),
        "hop": np.array([HOP]),
    }
    inputs = [_info("x", FLOAT, "N", "S"), _info("samples", INT64, "N")]
    outputs = [_info("scores", FLOAT, "N", "T", 4), _info("lengths", INT64, "N")]
    decoder = CtcDecoder(scores="scores", alphabet=LETTERS, lengths="lengths", beam=beam)
    spec = AudioInput(sample_rate=RATE, max_s=5.0, lengths_input="samples")
    return model(nodes, inputs, outputs, tensors), Manifest(input=spec, decoder=decoder)
