"""A model's outputs to objects and text, by the decoder of its manifest: whole batches, in numpy, one answer a row.

What is malformed in one row abstains with its reason, and touches no other.
"""

from collections.abc import Sequence

from services.prelabel.domain.decoding.base import TOO_MANY, Answer, Decoded, Outputs, Seen
from services.prelabel.domain.decoding.boxes import decode_boxes
from services.prelabel.domain.decoding.ctc import decode_ctc
from services.prelabel.domain.decoding.masks import decode_instances, decode_semantic
from services.prelabel.domain.decoding.segments import decode_frames
from services.prelabel.domain.decoding.spans import decode_tags
from shared.events import (
    BoxesDecoder,
    CtcDecoder,
    Decoder,
    FramesDecoder,
    ImageInput,
    InstanceMasksDecoder,
    SemanticMasksDecoder,
    TagsDecoder,
)
from shared.events.models import ModelInput

__all__ = ["TOO_MANY", "Answer", "Decoded", "Outputs", "Seen", "decode", "output_names"]


def output_names(decoder: Decoder) -> tuple[str, ...]:
    """The outputs that a decoder reads, each once."""
    named = [getattr(decoder, field, None) for field in ("scores", "boxes", "masks", "labels", "offsets", "lengths")]
    return tuple(dict.fromkeys(name for name in named if name is not None))


def decode(
    outputs: Outputs, seen: Sequence[Seen], decoder: Decoder, classes: tuple[str, ...], spec: ModelInput
) -> list[Answer]:
    """One answer for each row of the outputs.

    Args:
        outputs: by name, as `output_names` lists them; the first axis is that of the rows.
        seen: what else is known of each row.
        decoder: of the manifest.
        classes: of the manifest, in the project's present names.
        spec: the model's input.
    """
    match decoder:
        case BoxesDecoder():
            assert isinstance(spec, ImageInput)  # noqa: S101  # the manifest was refused otherwise
            return decode_boxes(outputs, seen, decoder, classes, spec)
        case TagsDecoder():
            return decode_tags(outputs, seen, decoder, classes)
        case SemanticMasksDecoder():
            return decode_semantic(outputs, seen, decoder, classes)
        case InstanceMasksDecoder():
            return decode_instances(outputs, seen, decoder, classes)
        case CtcDecoder():
            return decode_ctc(outputs, seen, decoder)
        case FramesDecoder():
            return decode_frames(outputs, seen, decoder, classes)
