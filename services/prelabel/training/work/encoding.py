"""Vectors by an encoder of the user's own."""

from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from services.prelabel.training.domain.encoders import Encoder
from services.prelabel.training.work.files import Refused

CHUNK = 64


def _session(encoder: Encoder) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(encoder.path.read_bytes(), providers=["CPUExecutionProvider"])
    except OSError as error:
        raise Refused(f"the encoder {encoder.path} cannot be read: {error.strerror}") from error
    except Exception as error:  # the runtime's errors share no base below Exception
        raise Refused(f"the encoder {encoder.path} is not a model that ONNX Runtime loads") from error


def output_of(encoder: Encoder) -> str:
    """The name of the output that holds the vectors.

    Raises:
        Refused: there is none.
    """
    outputs = _session(encoder).get_outputs()
    for one in outputs:
        if encoder.output_name in (None, one.name) and one.type == "tensor(float)" and len(one.shape) == 2:  # noqa: PLR2004
            return str(one.name)
    raise Refused(f"the encoder {encoder.path} has no float output of two dimensions: {[one.name for one in outputs]}")


def encode(encoder: Encoder, rows: NDArray[Any]) -> NDArray[np.float64]:
    """The vectors of prepared rows, shape (n, numbers)."""
    session, output = _session(encoder), output_of(encoder)
    feeds = session.get_inputs()[0].name
    parts = [session.run([output], {feeds: rows[start : start + CHUNK]})[0] for start in range(0, len(rows), CHUNK)]
    return np.vstack(parts).astype(np.float64)
