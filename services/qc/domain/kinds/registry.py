"""The kinds of labels that are fused as a whole; single choices have an engine of their own."""

from typing import Any

from services.qc.domain.kinds.kind import Kind
from services.qc.domain.kinds.plain import CHOICES, RATING
from services.qc.domain.kinds.relations import RELATIONS
from services.qc.domain.kinds.segments import SEGMENTS
from services.qc.domain.kinds.spans import SPANS
from services.qc.domain.kinds.transcripts import TRANSCRIPT

KINDS: dict[str, Kind[Any]] = {kind.name: kind for kind in (CHOICES, RATING, SPANS, RELATIONS, SEGMENTS, TRANSCRIPT)}
