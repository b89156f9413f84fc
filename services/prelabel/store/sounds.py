"""Encoded sound to the samples a model reads."""

import io

import numpy as np
import soundfile
import soxr

from services.prelabel.domain.preprocess import Samples
from services.prelabel.domain.questions import Abstained
from shared.events import Abstention, AudioInput


def decode_sound(encoded: bytes, spec: AudioInput) -> Samples | Abstained:
    """Sound of one channel at the model's rate, or why not.

    Args:
        encoded: WAV, FLAC, Ogg, MP3: what libsndfile reads.
        spec: the rate, and the longest that is read; longer sound is refused by its header, before it is decoded.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(encoded)) as file:
            if file.frames / file.samplerate > spec.max_s:
                longest = f"{file.frames / file.samplerate:.1f} s, the model reads at most {spec.max_s:g} s"
                return Abstained(Abstention.SHAPE, f"the sound has {longest}")
            most = int(spec.max_s * file.samplerate) + 1
            channels = file.read(most, dtype="float32", always_2d=True)
            rate = file.samplerate
    except Exception as error:  # noqa: BLE001  # a decoder fed with garbage raises anything
        return Abstained(Abstention.UNREADABLE, f"the sound cannot be decoded ({type(error).__name__})")
    mixed = channels.mean(axis=1)
    if not np.isfinite(mixed).all():
        return Abstained(Abstention.UNREADABLE, "the sound has samples that are no numbers")
    data = mixed if rate == spec.sample_rate else soxr.resample(mixed, rate, spec.sample_rate)
    return Samples(np.clip(data, -1.0, 1.0).astype(np.float32), len(mixed) / rate)
