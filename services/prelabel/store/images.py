"""Encoded pictures to the pixels a model reads."""

import base64
import binascii
import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from services.prelabel.domain.preprocess import Pixels
from services.prelabel.domain.questions import Abstained
from shared.events import Abstention, ImageInput

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


def decode_base64(data: str) -> bytes | Abstained:
    """Strict base64."""
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        return Abstained(Abstention.UNREADABLE, "the content is not base64")


def _narrowed(image: Image.Image, mode: str) -> Image.Image:
    """8 bits per channel. Pillow would clip 16-bit greys at 255 instead of scaling them."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert(mode)
    return image.convert(mode)


def decode_image(encoded: bytes, spec: ImageInput, *, max_pixels: int) -> Pixels | Abstained:
    """The picture as the model reads it, resized bilinearly where the size differs, upright as EXIF says; or why not.

    Args:
        encoded: PNG, JPEG, WebP, GIF (first frame) or BMP.
        spec: the size and channels of the model's input.
        max_pixels: a larger picture is refused by its header, before it is decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(encoded), formats=FORMATS)
        pixels = image.width * image.height
        if pixels > max_pixels:
            return Abstained(Abstention.UNREADABLE, f"the picture has {pixels} pixels, the limit is {max_pixels}")
        upright = ImageOps.exif_transpose(image)  # as people see it, and boxes are in what they see
        narrow = _narrowed(upright, "L" if spec.channels == 1 else "RGB")
        own = narrow.size
        if narrow.size != (spec.width, spec.height):
            narrow = narrow.resize((spec.width, spec.height), Image.Resampling.BILINEAR)
        return Pixels(narrow.tobytes(), *own)
    except Exception as error:  # noqa: BLE001  # a decoder fed with garbage raises anything
        return Abstained(Abstention.UNREADABLE, f"the picture cannot be decoded ({type(error).__name__})")
