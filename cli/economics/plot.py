"""Cost beside accuracy, and the learning curves, as one picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.errors import ConfigurationError

SIZE = (11.0, 4.5)


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Write the picture.

    Args:
        found: the object that `economics --json` prints.
        path: where; its ending names the format.

    Raises:
        ConfigurationError: it cannot be written, or matplotlib is not there.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # only who wants a picture needs it
    except ImportError as error:
        raise ConfigurationError("--plot needs matplotlib: pip install 'labelstream[plots]'") from error
    figure = Figure(figsize=SIZE, layout="constrained")
    cost, curve = figure.subplots(1, 2)
    for name, one in found["policies"].items():
        if one["accuracy"] is not None:
            (mark,) = cost.plot(one["opinions"], 100 * one["accuracy"], "o", label=name)
            points = [each for each in one["rounds"] if each["model_accuracy"] is not None]
            curve.plot(
                [each["labels"] for each in points], [100 * each["model_accuracy"] for each in points], ".-",
                color=mark.get_color(), label=name if points else None,
            )  # fmt: skip
    all_ = found["all_opinions"]
    if all_["accuracy"] is not None:
        cost.plot(all_["opinions"], 100 * all_["accuracy"], "k*", label="all recorded")
        cost.legend()
    cost.set(xlabel="opinions", ylabel="accuracy of the labels, %", title="What each policy cost")
    curve.set(xlabel="labels by people", ylabel="accuracy of the model, %", title="What the model learned")
    if curve.get_legend_handles_labels()[0]:
        curve.legend()
    for axes in (cost, curve):
        axes.grid(alpha=0.3)
    try:
        figure.savefig(path, dpi=140)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: cannot be written: {error}") from error
