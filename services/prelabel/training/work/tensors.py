"""Contents to the numbers that are learned from, exactly as prelabel will make them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.prelabel.domain.preprocess import Pixels, prepare_features, prepare_pixels, prepare_text
from services.prelabel.domain.questions import Abstained
from services.prelabel.store.images import decode_base64, decode_image
from services.prelabel.training.work.files import Job, Refused
from shared.events import Content, FeaturesContent, FeaturesInput, ImageInput, MediaContent, TextContent, TextInput
from shared.events.models import ModelInput

FLOAT32 = np.dtype(np.float32)
PROBE = ImageInput(width=1, height=1)


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` has shape (n, d), or (n, 1) of texts; `kept` are the positions of the contents that could be read."""

    rows: NDArray[Any]
    kept: list[int]


def choose_input(contents: Sequence[Content], job: Job) -> ModelInput:
    """How the model is to be fed.

    Features are standardised by the manifest, in float64 before the cast. Pictures are read flat at their most
    frequent size, if that is small, in grey if all are.

    Raises:
        Refused: this kind of data needs a command of your own.
    """
    if job.data == "text":
        return TextInput(lowercase=True, max_chars=20_000)
    if job.data == "features":
        return _standardised([one for one in contents if isinstance(one, FeaturesContent)])
    if job.data == "image":
        return _picture_input([one for one in contents if isinstance(one, MediaContent)], job)
    raise Refused(f"data of kind {job.data} cannot be learned from here; name a training command of your own")


def _standardised(contents: Sequence[FeaturesContent]) -> FeaturesInput:
    if not contents:
        raise Refused("none of the labelled items holds features")
    size = Counter(len(one.features) for one in contents).most_common(1)[0][0]
    table = np.array([one.features for one in contents if len(one.features) == size], dtype=np.float64)
    mean, scale = table.mean(axis=0), table.std(axis=0)
    scale[scale < 1e-12] = 1.0  # noqa: PLR2004  # a constant feature says nothing and must not divide by nothing
    return FeaturesInput(size=size, mean=tuple(mean.tolist()), scale=tuple(scale.tolist()))


def _picture_input(contents: Sequence[MediaContent], job: Job) -> ImageInput:
    sizes: Counter[tuple[int, int]] = Counter()
    coloured = False
    for one in contents[:500]:
        size, colour = _look(one, job.image_max_pixels)
        if size is not None:
            sizes[size] += 1
            coloured |= colour
    if not sizes:
        raise Refused("none of the labelled pictures is inline and readable; a command of your own may fetch them")
    (width, height), most = sizes.most_common(1)[0][0], job.largest_picture
    shrink = min(1.0, most / max(width, height))
    channels = 3 if coloured else 1
    return ImageInput(
        width=max(1, round(width * shrink)), height=max(1, round(height * shrink)), channels=channels, layout="flat"
    )


def _look(content: MediaContent, max_pixels: int) -> tuple[tuple[int, int] | None, bool]:
    """A picture's size, and whether it has colours."""
    import io  # noqa: PLC0415  # beside Pillow, which only pictures need

    from PIL import Image  # noqa: PLC0415

    encoded = decode_base64(content.data) if content.data is not None else b""
    if isinstance(encoded, Abstained) or isinstance(decode_image(encoded, PROBE, max_pixels=max_pixels), Abstained):
        return None, False
    with Image.open(io.BytesIO(encoded)) as image:
        return image.size, image.mode not in {"L", "1", "LA", "I", "F"} and not image.mode.startswith("I;")


def as_table(contents: Sequence[Content], spec: ModelInput, job: Job) -> Table:
    """The contents as one table, by prelabel's own code; what it could not read is left out."""
    if isinstance(spec, TextInput):
        places = [place for place, one in enumerate(contents) if isinstance(one, TextContent)]
        made = prepare_text([one for one in contents if isinstance(one, TextContent)], spec)
    elif isinstance(spec, FeaturesInput):
        places = [place for place, one in enumerate(contents) if isinstance(one, FeaturesContent)]
        made = prepare_features([one for one in contents if isinstance(one, FeaturesContent)], spec, FLOAT32)
    else:
        assert isinstance(spec, ImageInput)  # noqa: S101  # the trainer makes no others
        places = [place for place, one in enumerate(contents) if isinstance(one, MediaContent)]
        pictures = [one for one in contents if isinstance(one, MediaContent)]
        made = prepare_pixels([_pixels(one, spec, job) for one in pictures], spec, FLOAT32)
    return Table(made.tensor, [places[row] for row in made.rows])


def _pixels(content: MediaContent, spec: ImageInput, job: Job) -> Pixels | Abstained:
    if content.data is None:
        return decode_image(b"", spec, max_pixels=job.image_max_pixels)
    encoded = decode_base64(content.data)
    return encoded if isinstance(encoded, Abstained) else decode_image(encoded, spec, max_pixels=job.image_max_pixels)
