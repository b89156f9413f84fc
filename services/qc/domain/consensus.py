"""From opinions to a posterior over values, one item at a time: what a snapshot says about each answer, added up.

By the project's method where the scale has a list of classes (the batch engine's columns, see `table`), by one accuracy
a person where it has none. A posterior is a function of the snapshot and the opinions. O(opinions * classes).
"""

from collections.abc import Mapping, Sequence

from services.qc.domain.counts import Parameters
from services.qc.domain.models import Method
from services.qc.domain.open_values import Opinion, open_posterior
from services.qc.domain.scale import Kind, Scale
from services.qc.domain.table import table_of

__all__ = ["Opinion", "posterior"]


def posterior(
    opinions: Sequence[Opinion],
    scale: Scale,
    parameters: Parameters,
    method: Method = Method.DEFAULT,
    prediction: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """P(value | opinions), over the classes of a closed scale or the values given on an open one.

    Closed: adds up to 1. Open: what is missing to 1 is the chance that nobody gave the true value.
    Independent of the order of the opinions to the last bit: they are added up exactly.

    Args:
        opinions: by different people.
        scale: of the project.
        parameters: the snapshot.
        method: of a closed scale.
        prediction: class -> probability; a model's opinion that these people did not see.

    Raises:
        ValueError: the scale is numeric (see `numeric.py`).
    """
    if scale.kind is Kind.CLOSED:
        table = table_of(parameters, scale.classes, method)
        shares = table.posterior([table.column(one.annotator_id, one.symbol) for one in opinions], prediction)
        return dict(zip(scale.classes, shares, strict=True))
    if scale.kind is Kind.OPEN:
        return open_posterior(opinions, scale.size, parameters) if opinions else {}
    raise ValueError("a numeric scale has no posterior over symbols")


def settled(
    opinions: Sequence[Opinion],
    scale: Scale,
    parameters: Parameters,
    method: Method = Method.DEFAULT,
    prediction: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """The shares by which an item is labelled whose posterior stays short of the target; arguments as of `posterior`.

    By the default on a list of classes as the batch labels, see `table.Table.settled`; else the posterior.
    """
    if scale.kind is not Kind.CLOSED or method is not Method.DEFAULT:
        return posterior(opinions, scale, parameters, method, prediction)
    table = table_of(parameters, scale.classes, method)
    told = [table.column(one.annotator_id, one.symbol) for one in opinions]
    return dict(zip(scale.classes, table.settled(told, [one.symbol for one in opinions], prediction), strict=True))
