"""Swapping the model at 1,000 items a second: is anything lost or mixed, and how much slower is it meanwhile?

`python -m tests.bench.swap`. Two models take turns, the second a forest of 15 MB. "During a swap" is from the
promotion to a second after the first prediction of the new generation. A prediction is mixed where its distribution is
not the one that the model it names gives for that item.
"""

import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from aiokafka import AIOKafkaConsumer
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris
from sklearn.ensemble import ExtraTreesClassifier

from cli.model import promote_model, register_model
from cli.project.commands import apply_spec
from cli.stack.embedded import Stack, StackOptions
from services.prelabel.domain.questions import Question
from services.prelabel.store.files import read_model
from services.prelabel.store.inference import Work, predict
from services.prelabel.store.sessions import load_model
from shared.bus.client import make_reader
from shared.bus.publisher import Publisher
from shared.bus.reader import _partitions
from shared.bus.records import outgoing
from shared.clock import utc_now
from shared.events import ModelPointer, ModelVersion, Prediction
from shared.topics import MODELS, PREDICTIONS
from tests.bench.auto_path import PROJECT, SPEC, items, show
from tests.bench.latency import EVERY_S, SETTLED_S, WITHIN_S, _quantile, _send
from tests.support.onnx_models import _export, iris

RATE, SECONDS, FIRST_S, BETWEEN_S, AFTER_S = 1000, 72.0, 8.0, 6.0, 1.0
TREES, VARIANTS = 300, 7
Distribution = tuple[float, ...]


@dataclass(slots=True)
class Seen:
    """What came out: the moment of each item's first prediction, and what was wrong with any."""

    at: dict[str, float] = field(default_factory=dict)
    first_of: dict[int, float] = field(default_factory=dict)
    mixed: int = 0
    twice: int = 0


def forest() -> bytes:
    """A model of the same flowers that takes a while to load."""
    data = load_iris()
    noisy = np.repeat(data.data, 20, axis=0) + np.random.default_rng(0).normal(0, 0.3, (3000, 4))
    model = ExtraTreesClassifier(TREES, random_state=0, n_jobs=1).fit(noisy, np.repeat(data.target, 20))
    return _export(model, [("x", FloatTensorType([None, 4]))])


def expected(version: ModelVersion, directory: Path) -> list[Distribution]:
    """What a model says of each of the different items."""
    content = read_model(
        version.uri, sha256=version.sha256, size_bytes=version.size_bytes, directory=directory, max_bytes=10**9
    )
    model = load_model(content, version, generation=0, schema=SPEC.label)
    asked = [Question.of(one, SPEC) for one in items(0, VARIANTS)]
    found = predict(asked, model, {}, why_no_model="", predicted_at=utc_now(), max_pixels=1, work=Work())
    return [tuple((one.distribution or {}).values()) for one in found]


def judge(one: Prediction, said: Mapping[str, Sequence[Distribution]], versions: Mapping[int, str]) -> bool:
    """Whether a prediction is whole: its generation's model, and that model's words about this item."""
    version = versions.get(one.generation)
    if version is None or one.model_version != version:
        return False
    answer = tuple((one.distribution or {}).values())
    return bool(np.allclose(answer, said[version][int(one.item_id.removeprefix("item-")) % VARIANTS], atol=1e-6))


async def _read(
    consumer: AIOKafkaConsumer,
    seen: Seen,
    said: Mapping[str, Sequence[Distribution]],
    versions: Mapping[int, str],
    *,
    wanted: int,
    within_s: float,
) -> None:
    """Until every item was seen, or the time is up: then some are lost."""
    deadline = time.perf_counter() + within_s
    while len(seen.at) < wanted and time.perf_counter() < deadline:
        chunk = await consumer.getmany(timeout_ms=200)
        now = time.perf_counter()
        for records in chunk.values():
            for record in records:
                one = PREDICTIONS.event.validate_json(record.value)
                seen.first_of.setdefault(one.generation, now)
                seen.twice += one.item_id in seen.at
                seen.at.setdefault(one.item_id, now)
                seen.mixed += not judge(one, said, versions)


async def _swap(
    publisher: Publisher, names: Sequence[str], versions: dict[int, str], began: list[float], seconds: float
) -> None:
    """Promote one after the other; `versions` and `began` are written as it happens."""
    started, turn = time.perf_counter(), 0
    while (due := FIRST_S + turn * BETWEEN_S) < seconds - BETWEEN_S:
        await asyncio.sleep(max(0.0, started + due - time.perf_counter()))
        turn += 1
        name = names[turn % len(names)]
        versions[turn + 1] = name
        pointer = ModelPointer(
            project_id=PROJECT, version=name, generation=turn + 1, previous=versions[turn], promoted_at=utc_now()
        )
        began.append(time.perf_counter())
        await publisher.publish([outgoing(MODELS, pointer, source="bench")])


async def swapping(stack: Stack, models: Path, *, rate: int = RATE, seconds: float = SECONDS) -> dict[str, float]:
    """Returns swap_p99_ratio, also for each of the two models, and how many were lost or mixed; see `_figures`."""
    trained = iris()
    await apply_spec(stack.kafka, SPEC, now=utc_now())
    made = {"small": trained.content, "forest": await asyncio.to_thread(forest)}
    registered = {
        name: await register_model(stack.kafka, PROJECT, content, trained.manifest, directory=models, version=name)
        for name, content in made.items()
    }
    said = {name: await asyncio.to_thread(expected, one, models) for name, one in registered.items()}
    await promote_model(stack.kafka, PROJECT, "small")
    versions, began, seen, sent = {1: "small"}, list[float](), Seen(), dict[bytes, float]()
    each = max(1, round(rate * EVERY_S))
    number = int(seconds / EVERY_S) * each
    consumer = make_reader(stack.kafka, wait_ms=100)
    await consumer.start()
    try:
        places = await _partitions(consumer, stack.kafka.physical(PREDICTIONS.name))
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        async with Publisher(stack.kafka) as publisher, asyncio.TaskGroup() as group:
            await asyncio.sleep(2.0)  # the first model is loaded
            group.create_task(_read(consumer, seen, said, versions, wanted=number, within_s=seconds + WITHIN_S))
            group.create_task(_send(publisher, 0, number, each, sent))
            group.create_task(_swap(publisher, list(made), versions, began, seconds))
    finally:
        await consumer.stop()
    return _figures(sent, seen, began)


def _figures(sent: Mapping[bytes, float], seen: Seen, began: Sequence[float]) -> dict[str, float]:
    ends = seen.first_of
    windows = [(start, ends[turn] + AFTER_S, turn) for turn, start in enumerate(began, 2) if turn in ends]
    from_when = min(sent.values()) + SETTLED_S
    took: dict[str, list[float]] = {"normal": [], "large": [], "small": []}
    for key, at in sent.items():
        done = seen.at.get(key.decode().partition("/")[2])
        if done is None or at < from_when:
            continue
        turns = [turn for start, end, turn in windows if start <= done and at <= end]
        kind = "normal" if not turns else "small" if turns[0] % 2 else "large"
        took[kind].append((done - at) * 1000)
    p99 = {kind: _quantile(values, 0.99) for kind, values in took.items()}
    during = _quantile([*took["large"], *took["small"]], 0.99)
    return {
        "swap_p99_ratio": during / p99["normal"],
        "swap_to_large_p99_ratio": p99["large"] / p99["normal"],
        "swap_to_small_p99_ratio": p99["small"] / p99["normal"],
        "swap_p99_ms": during,
        "swap_normal_p99_ms": p99["normal"],
        "swap_lost": float(len(sent) - len(seen.at)),
        "swap_mixed": float(seen.mixed),
        "swap_twice": float(seen.twice),
        "swaps": float(len(windows)),
        "swap_items": float(len(took["large"]) + len(took["small"])),
    }


async def measure() -> dict[str, float]:
    """On a fresh stack of its own."""
    with tempfile.TemporaryDirectory() as directory:
        models = Path(directory) / "models"
        async with Stack(StackOptions(broker="kafka", model_dir=models)) as stack:
            return await swapping(stack, models)


if __name__ == "__main__":
    show(asyncio.run(measure()))
