"""The peers' side, in an environment of its own (`peers.txt`): labels and seconds per dataset and method, as JSON.

    python peers.py labels CROWD.npz OUT.json        one dataset
    python peers.py scale ANSWERS.npz                crowd-kit's Dawid-Skene on a large file: time, memory

It imports nothing of ours. A method that fails or is too slow for the size is left out, with its reason.
"""

import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SLOW_AT_MOST = 30_000
MEGABYTE = 1024


def _frame(crowd: Any) -> Any:
    import pandas as pd  # noqa: PLC0415

    return pd.DataFrame({"task": crowd["item"], "worker": crowd["annotator"], "label": crowd["symbol"]})


def _crowdkit(make: Callable[[], Any]) -> Callable[[Any], Any]:
    def run(crowd: Any) -> Any:
        found = make().fit_predict(_frame(crowd))
        return found.reindex(range(int(crowd["items"]))).fillna(-1).astype(int).to_numpy()

    return run


def _peerannot(name: str) -> Callable[[Any], Any]:
    def run(crowd: Any) -> Any:
        import peerannot.models  # noqa: PLC0415

        answers: dict[int, dict[int, int]] = {}
        for item, annotator, symbol in zip(crowd["item"], crowd["annotator"], crowd["symbol"], strict=True):
            answers.setdefault(int(item), {})[int(annotator)] = int(symbol)
        sizes = {"n_workers": int(crowd["annotators"]), "n_classes": int(crowd["classes"])}
        model = getattr(peerannot.models, name)(answers, **sizes)
        model.run()
        found = np.full(int(crowd["items"]), -1)
        found[list(answers)] = np.asarray(model.get_answers())[: len(answers)]
        return found

    return run


def _cleanlab(crowd: Any) -> Any:
    from cleanlab.multiannotator import get_majority_vote_label  # noqa: PLC0415

    table = np.full((int(crowd["items"]), int(crowd["annotators"])), np.nan)
    table[crowd["item"], crowd["annotator"]] = crowd["symbol"]
    return get_majority_vote_label(table)


def _methods(answers: int) -> dict[str, Callable[[Any], Any]]:
    from crowdkit.aggregation import (  # noqa: PLC0415
        GLAD,
        MACE,
        DawidSkene,
        MajorityVote,
        OneCoinDawidSkene,
        Wawa,
        ZeroBasedSkill,
    )

    found = {
        "ck-MajorityVote": _crowdkit(MajorityVote),
        "ck-Wawa": _crowdkit(Wawa),
        "ck-ZeroBasedSkill": _crowdkit(lambda: ZeroBasedSkill(n_iter=100)),
        "ck-DawidSkene": _crowdkit(lambda: DawidSkene(n_iter=100)),
        "ck-OneCoin": _crowdkit(lambda: OneCoinDawidSkene(n_iter=100)),
        "pa-DawidSkene": _peerannot("DawidSkene"),
        "pa-IWMV": _peerannot("IWMV"),
        "cl-majority": _cleanlab,
    }
    if answers <= SLOW_AT_MOST:
        found["ck-GLAD"] = _crowdkit(lambda: GLAD(n_iter=100))
        found["ck-MACE"] = _crowdkit(lambda: MACE(random_state=0))
    return found


def labels(crowd_path: str, out: str) -> None:
    crowd = dict(np.load(crowd_path))
    found: dict[str, Any] = {}
    for name, run in _methods(len(crowd["item"])).items():
        started = time.perf_counter()
        try:
            given = run(crowd)
        except Exception as error:  # noqa: BLE001  # peers fail in any way they like
            found[name] = {"failed": f"{type(error).__name__}: {error}"[:200]}
            continue
        found[name] = {"label": [int(x) for x in given], "seconds": time.perf_counter() - started}
    Path(out).write_text(json.dumps(found))


def scale(path: str) -> None:
    from crowdkit.aggregation import DawidSkene  # noqa: PLC0415

    crowd = dict(np.load(path))
    frame = _frame(crowd)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE
    started = time.perf_counter(), time.process_time()
    found = DawidSkene(n_iter=100).fit_predict(frame)
    wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE
    given = found.reindex(range(int(crowd["items"]))).fillna(-1).astype(int).to_numpy()
    right = float((given == crowd["truth"]).mean())
    sys.stdout.write(
        json.dumps({"seconds": wall, "cpu": cpu, "peak": peak, "before": before, "accuracy": right}) + "\n"
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1] == "labels":
        labels(sys.argv[2], sys.argv[3])
    else:
        scale(sys.argv[2])
