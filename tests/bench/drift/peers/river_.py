"""River's ADWIN, one of its default for each class: drift where any fires; all begin anew then. Sees all events."""

from collections.abc import Iterator

from river.drift import ADWIN

from tests.bench.drift.peers.common import Given, main


def fired(given: Given) -> Iterator[int]:
    """See `common.Peer`."""
    detectors = [ADWIN() for _ in range(given.classes)]
    for t, symbol in enumerate(given.y.tolist(), -given.skip):
        drifted = False
        for k, detector in enumerate(detectors):
            detector.update(1.0 if k == symbol else 0.0)
            drifted = drifted or detector.drift_detected
        if drifted:
            detectors = [ADWIN() for _ in range(given.classes)]
            if t >= 0:
                yield t


if __name__ == "__main__":
    main(fired)
