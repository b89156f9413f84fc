"""Which figures are shown, and what each is held against."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        name: as in build/bench.json.
        about: what it is.
        unit: short.
        least, most: the limit from below or above, if there is one.
        share_of: another figure of the same run; `least` is a share of it then.
        n, spread: figures that say how many were taken, and how far apart the parts of the run lay.
    """

    name: str
    about: str
    unit: str
    least: float | None = None
    most: float | None = None
    share_of: str = ""
    n: str = ""
    spread: str = ""

    def limit(self, found: Mapping[str, float]) -> float | None:
        """The limit in the figure's own unit."""
        if self.share_of and self.least is not None:
            return self.least * found.get(self.share_of, math.nan)
        return self.least if self.least is not None else self.most

    def within(self, found: Mapping[str, float]) -> bool | None:
        """Whether it keeps its limit; None without one."""
        limit, value = self.limit(found), found[self.name]
        if limit is None:
            return None
        return value >= limit if self.least is not None else value <= limit


_GROWTH = 1.15
FIGURES = (
    Figure(
        "auto_items_per_second",
        "auto path, item to label, all services",
        "/s",
        least=0.2,
        share_of="chain_items_per_second",
    ),
    Figure("chain_items_per_second", "the same hops, bare aiokafka, no database", "/s"),
    Figure(
        "prelabel_ratio",
        "prelabel over ONNX Runtime alone",
        "",
        least=0.8,
        n="prelabel_n",
        spread="prelabel_ratio_spread",
    ),
    Figure("item_to_prediction_p99_ms", "item to prediction at 500 items/s, p99", "ms", most=250.0),
    Figure("swap_p99_ratio", "the same at 1,000/s during a model swap, over otherwise", "", most=2.0, n="swap_items"),
    Figure("swap_to_small_p99_ratio", "to a model of kilobytes", "", most=2.0),
    Figure("swap_to_large_p99_ratio", "to one of 15 MB", "", most=2.0),
    Figure("swap_lost", "items lost by model swaps", "", most=0.0),
    Figure("swap_mixed", "predictions that mix two models", "", most=0.0),
    Figure("next_submit_p50_ms", "next + submit, 50 people, 50/s, 100,000 open: p50", "ms", n="next_submit_n"),
    Figure(
        "next_submit_p99_ms",
        "the same: p99",
        "ms",
        most=50.0,
        n="next_submit_n",
        spread="next_submit_p99_spread",
    ),
    Figure(
        "annotators_200_p50_ms", "next + submit, 200 people, 100/s, 1,000,000 open: p50", "ms", n="annotators_200_n"
    ),
    Figure(
        "annotators_200_p99_ms",
        "the same: p99",
        "ms",
        most=25.0,
        n="annotators_200_n",
        spread="annotators_200_p99_spread",
    ),
    *(
        one
        for name, of_pair, about in (
            ("submits", "saturated", "as fast as it goes"),
            ("batch_submits", "batch_saturated", "in batches of ten"),
        )
        for one in (
            Figure(
                f"{name}_per_second",
                f"next + submit, 200 people, {about}",
                "/s",
                least=500.0,
                n=f"{name}_n",
                spread=f"{name}_per_second_spread",
            ),
            Figure(f"{of_pair}_p99_ms", "the same: p99 of a call's pair", "ms"),
            Figure(f"{name}_refused", "the same: refused", ""),
        )
    ),
    Figure(
        "studio_submits_per_second",
        "Label Studio community, 5 people, as fast as it goes, 20,000 tasks",
        "/s",
        n="studio_n",
    ),
    Figure("studio_next_p50_ms", "the same: next, p50", "ms"),
    Figure("studio_p99_ms", "the same: next + submit, p99", "ms"),
    *(
        Figure(f"{path}_{what}_growth", f"{about}: {label} per item, ten times the items", "x", most=_GROWTH)
        for path, about in (("auto", "auto path"), ("next_submit", "next + submit"))
        for what, label in (("statements", "statements"), ("buffers", "buffers touched"), ("wal", "WAL bytes"))
    ),
    *(
        one
        for name in ("prelabel", "assignment", "qc", "monitor")
        for one in (
            Figure(f"{name}_memory_again", f"resident memory of {name}, as many answers again", "x"),
            Figure(f"{name}_memory_growth", "the same: with ten times the items too", "x", most=_GROWTH),
        )
    ),
    Figure("decode_boxes_ms", "an item of 8,400 boxes, 80 classes, decoded", "ms"),
    Figure("decode_tags_viterbi_ms", "a text of 128 tokens, 9 tags, by Viterbi", "ms"),
    Figure("decode_semantic_masks_ms", "a picture of 1280 x 960 from 160 x 160 cells, 20 classes", "ms"),
    Figure("decode_ctc_greedy_ms", "500 frames of 32 symbols, greedy", "ms"),
    Figure("decode_ctc_beam_16_ms", "the same by a beam of 16", "ms"),
    Figure("decode_frames_ms", "3,000 frames of 10 classes to segments", "ms"),
)
