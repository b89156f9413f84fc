"""What scikit-learn learns from a table, each able to say itself as a graph."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel

from services.prelabel.training.work.graphs import OPSET, Part, kernel_head, linear_head

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
TINY = 1e-12
LANDMARKS, MANY_LANDMARKS = 500, 1000
LARGEST_HEAD = 2_000_000
"""Numbers of landmarks that a model may hold, 8 MB, where they are many."""
GRID = ((0.5, 3.0), (0.5, 30.0), (1.5, 30.0))
"""Width and strength of the kernels that are compared."""
LEAST_EIGENVALUE = 1e-5
ITERATIONS = 500


class Fitted(Protocol):
    """What was learned."""

    def logits(self, table: Any) -> Floats:
        """Shape (n, classes)."""
        ...

    def head(self) -> Part | bytes:
        """The graph from `vector` to `logits`; or a whole model that gives probabilities."""
        ...


@dataclass(frozen=True, slots=True)
class Learner:
    """A way to learn, by name; `fit(table, classes, weights, seed)`, classes as 0 to k - 1, all present.

    `further`, where this is the best of those that name any: what is compared with it next; the first that is better
    takes its place.
    """

    name: str
    fit: Callable[[Any, Integers, Floats, int], Fitted]
    further: tuple["Learner", ...] = ()


@dataclass(frozen=True, slots=True)
class Linear:
    """Multinomial logistic regression."""

    weights: Floats
    bias: Floats

    @classmethod
    def learner(cls, strength: float) -> Learner:
        def fit(table: Any, classes: Integers, weights: Floats, seed: int) -> "Linear":
            return cls(*_logistic(table, classes, weights, seed, strength))

        return Learner(f"logistic regression, C = {strength:g}", fit)

    def logits(self, table: Any) -> Floats:
        return np.asarray(table @ self.weights + self.bias)

    def head(self) -> Part:
        return linear_head(self.weights, self.bias)


@dataclass(frozen=True, slots=True)
class Kernel:
    """Logistic regression on a Gaussian kernel by Nyström's method (Williams and Seeger 2001).

    `units`, shape (d,), are what each number is multiplied with before anything else; None leaves them as they are.
    """

    landmarks: Floats
    gamma: float
    weights: Floats
    bias: Floats
    units: Floats | None = None

    @classmethod
    def learner(
        cls, width: float, strength: float, *, units: Floats | None = None, landmarks: int = LANDMARKS,
        further: tuple[Learner, ...] = (),
    ) -> Learner:  # fmt: skip
        def fit(table: Any, classes: Integers, weights: Floats, seed: int) -> "Kernel":
            rows = _in(units, table)
            return cls._fit(rows, classes, weights, seed, width=width, strength=strength, units=units, most=landmarks)

        scale = "" if units is None else ", one scale for all features"
        return Learner(
            f"kernel logistic regression, width = {width:g}, C = {strength:g}, {landmarks} landmarks{scale}",
            fit,
            further,
        )

    @classmethod
    def _fit(
        cls, rows: Floats, classes: Integers, weights: Floats, seed: int, *, width: float, strength: float,
        units: Floats | None, most: int,
    ) -> "Kernel":  # fmt: skip
        gamma = width / (rows.shape[1] * max(float(rows.var()), TINY))
        drawn = np.random.default_rng(seed).permutation(len(rows))[:most]
        landmarks = rows[np.sort(drawn)]
        values, vectors = np.linalg.eigh(rbf_kernel(landmarks, gamma=gamma))
        kept = values > LEAST_EIGENVALUE * values.max()
        whitening = vectors[:, kept] / np.sqrt(values[kept])
        found, bias = _logistic(rbf_kernel(rows, landmarks, gamma=gamma) @ whitening, classes, weights, seed, strength)
        return cls(landmarks, gamma, whitening @ found, bias, units)

    def logits(self, table: Any) -> Floats:
        kernel = rbf_kernel(_in(self.units, table), self.landmarks, gamma=self.gamma)
        return np.asarray(kernel @ self.weights + self.bias)

    def head(self) -> Part:
        return kernel_head(self.landmarks, self.gamma, self.weights, self.bias, units=self.units)


@dataclass(frozen=True, slots=True)
class Trees:
    """Extremely randomised trees (Geurts et al. 2006), exported by skl2onnx."""

    model: ExtraTreesClassifier
    numbers: int

    @classmethod
    def learner(cls, trees: int = 200) -> Learner:
        def fit(table: Any, classes: Integers, weights: Floats, seed: int) -> "Trees":
            model = ExtraTreesClassifier(trees, min_samples_leaf=2, random_state=seed, n_jobs=1)
            return cls(model.fit(np.asarray(table, dtype=np.float32), classes, sample_weight=weights), table.shape[1])

        return Learner(f"extremely randomised trees, {trees}", fit)

    def logits(self, table: Any) -> Floats:
        shares: Floats = np.maximum(self.model.predict_proba(np.asarray(table, dtype=np.float32)), TINY)
        return np.log(shares)

    def head(self) -> bytes:
        from skl2onnx import to_onnx  # noqa: PLC0415  # takes seconds to import, and most models do without

        example = np.zeros((1, self.numbers), dtype=np.float32)
        graph = to_onnx(self.model, example, options={"zipmap": False}, target_opset=OPSET)
        return bytes(graph.SerializeToString(deterministic=True))


def _in(units: Floats | None, table: Any) -> Floats:
    rows = np.asarray(table, dtype=np.float64)
    return rows if units is None else rows * units


def _logistic(table: Any, classes: Integers, weights: Floats, seed: int, strength: float) -> tuple[Floats, Floats]:
    """Weights of shape (d, classes) and a bias of shape (classes,)."""
    model = LogisticRegression(C=strength, max_iter=ITERATIONS, random_state=seed)
    model.fit(table, classes, sample_weight=weights)
    if len(model.coef_) == 1:  # two classes have one row: the second's log odds
        zeros = np.zeros_like(model.coef_)
        return np.vstack([zeros, model.coef_]).T, np.array([0.0, model.intercept_[0]])
    return model.coef_.T, model.intercept_


def one_scale(table: Floats, scale: Floats) -> Floats:
    """The `units` in which standardised features have one scale for all: their own deviations, of mean square 1.

    Args:
        table: shape (n, d), standardised.
        scale: shape (d,), by what its features were divided.
    """
    deviations = scale * table.std(axis=0)
    largest = float(deviations.max(initial=0.0))
    if largest <= 0.0:
        return np.ones_like(scale)
    relative = deviations / largest
    return np.asarray(relative / np.sqrt(np.mean(relative**2)))


def learners(data: str, table: Any, *, encoded: bool, scale: Floats | None = None) -> list[Learner]:
    """What is compared for this kind of data, the simplest first.

    Args:
        data: kind of the project's data.
        table: shape (n, d), what is learned from.
        encoded: by an encoder.
        scale: shape (d,), by what features were divided; None where they were not.
    """
    if data == "text" and not encoded:
        return [Linear.learner(strength) for strength in (1.0, 10.0, 100.0)]
    found = [Linear.learner(strength) for strength in (0.1, 1.0, 10.0)]
    found += [refined(table, width, strength, scale) for width, strength in GRID]
    if data == "features" and not encoded and len(table) <= 20_000:  # noqa: PLR2004  # beyond, trees are large files
        found.append(Trees.learner())
    return found


def refined(table: Floats, width: float, strength: float, scale: Floats | None) -> Learner:
    """A kernel; the best of them also with one scale for all features, and the better of both with more landmarks.

    Both are worth their time for one kernel only (decision 52).
    """
    more = len(table) > LANDMARKS and table.shape[1] * MANY_LANDMARKS <= LARGEST_HEAD

    def finer(units: Floats | None) -> tuple[Learner, ...]:
        return (Kernel.learner(width, strength, units=units, landmarks=MANY_LANDMARKS),) if more else ()

    others: tuple[Learner, ...] = ()
    if scale is not None:
        units = one_scale(table, scale)
        others = (Kernel.learner(width, strength, units=units, landmarks=LANDMARKS, further=finer(units)),)
    return Kernel.learner(width, strength, landmarks=LANDMARKS, further=others + finer(None))
