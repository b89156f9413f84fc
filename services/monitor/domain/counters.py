"""Integer counters, their keys, and the edges of the latency histograms.

Integers add up to the same in any order, which floats do not: money is counted in millionths of the currency,
time in microseconds, a weight in millionths.
"""

from bisect import bisect_left
from collections import Counter
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

MILLION = 1_000_000
ALWAYS = 0
"""The time bucket of counters that are never pruned."""

LATENCY_EDGES_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
"""Upper edges, inclusive; one more bucket takes what is above the last."""
INFINITE = len(LATENCY_EDGES_S)
_EDGES_MICROS = [round(edge * MILLION) for edge in LATENCY_EDGES_S]


class Kind(StrEnum):
    """What is counted; in brackets what `part` and `symbol` hold."""

    ITEMS = "items"  # state, path
    LABELS = "labels"  # path
    REPLACED = "replaced"  # path: labels that another version stands in for
    OPINIONS = "opinions"  # path: opinions behind accepted labels
    COST = "cost"  # path: millionths of the currency
    PREDICTIONS = "predictions"  # proposed, or the abstention's reason
    SHADOW_PREDICTIONS = "shadow_predictions"  # proposed, or the abstention's reason
    ANNOTATIONS = "annotations"  # outcome, lane
    GOLD = "gold"  # correct or wrong
    RELABELS = "relabels"  # cause
    ITEM_TO_PREDICTION = "item_to_prediction"  # -, index of the latency bucket
    ITEM_TO_PREDICTION_TIME = "item_to_prediction_time"  # microseconds
    ITEM_TO_LABEL = "item_to_label"  # path, index of the latency bucket
    ITEM_TO_LABEL_TIME = "item_to_label_time"  # path: microseconds
    PREDICTED = "predicted"  # model version, class; per time bucket
    LABELLED = "labelled"  # path, class; per time bucket
    COMPARED = "compared"  # model version, lane:verdict; per time bucket
    COMPARED_WEIGHT = "compared_weight"  # the same, in millionths of 1 / inclusion probability
    OBJECTS = "objects"  # predictions or labels, class; per time bucket
    OBJECT_ITEMS = "object_items"  # predictions or labels; per time bucket: values whose kind has objects
    OBJECT_SQUARES = "object_squares"  # the same, over items: squares of an item's objects of the class; "": of all
    OBJECT_CROSS = "object_cross"  # the same: an item's objects of the class times all that it has
    # model version, lane:apart or lane:pairs; squares of an item's apart, products with its pairs, squares of these
    # (lane:squares, cross, lengths); all in millionths; per time bucket
    EXTENT = "extent"
    # model version, lane:errors or lane:words, in millionths of 1 / inclusion probability; squares of a text's
    # errors, products with its words, squares of these (lane:squares, cross, lengths), in thousandths; the same
    WORDS = "words"

    JUDGED = "judged"  # model version, lane:decile:verdict of people's first labels; per hour
    JUDGED_WEIGHT = "judged_weight"  # the same, in millionths of 1 / inclusion probability
    JUDGED_CONFIDENCE = "judged_confidence"  # model version, lane:decile: millionths of the proposals' confidence
    CONFIDENT = "confident"  # model:version, per hour, or path:auto, per ten minutes: n, millionths of the confidence
    SAID = "said"  # model version, band:class of first proposals
    CAME = "came"  # dimension=value, the same of first proposals with a source or a client
    TOLD = "told"  # dimension=value, band:class beside it and the answer
    GOLDEN = "golden"  # annotator, yes or no
    AGREED = "agreed"  # dimension=value, yes or no: an answer equals the label of several
    DOUBTED = "doubted"  # -, how likely wrong, in `budget.BINS` steps; per hour
    CALIBRATED = "calibrated"  # model version, place in `belief.TEMPERATURES`: millionths of a nat; per day
    ANCHORED = "anchored"  # shown or hidden, agree or differ; per day

    __hash__ = str.__hash__  # an enum's own is a call of Python, and keys of counters are hashed for every event


class Key(NamedTuple):
    """One counter. `bucket` is the start of its time bucket in seconds since 1970, or `ALWAYS`."""

    project_id: str
    kind: Kind
    part: str = ""
    symbol: str = ""
    bucket: int = ALWAYS


Counts = Counter[Key]


def time_bucket(time: datetime, width_s: int) -> int:
    """The start, in seconds since 1970, of the bucket that `time` falls in; at least `width_s`."""
    return max(int(time.timestamp()) // width_s, 1) * width_s


def micros_between(start: datetime, end: datetime) -> int:
    """Microseconds from start to end; a producer's clock that runs ahead counts as no time."""
    delta = end - start
    return max((delta.days * 86_400 + delta.seconds) * MILLION + delta.microseconds, 0)


def latency_bucket(micros: int) -> int:
    """The index in `LATENCY_EDGES_S` of the bucket that a time falls in; `INFINITE` above the last."""
    return bisect_left(_EDGES_MICROS, micros)
