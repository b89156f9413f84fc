"""A token bucket whose clock is an argument."""

from dataclasses import dataclass

BURST_S = 0.2


@dataclass(slots=True)
class TokenBucket:
    """At most `rate` records per second on average, in bursts of at most a fifth of a second's worth.

    Attributes:
        rate: tokens per second, above 0.
        tokens: those in the bucket; may be negative after `spend` took more than there were.
        filled_at: when they were counted, in seconds of any monotonic clock.
    """

    rate: float
    filled_at: float
    tokens: float = 1.0

    @property
    def capacity(self) -> float:
        return max(1.0, self.rate * BURST_S)

    def available(self, now: float) -> int:
        """Whole tokens at `now`. A clock that steps back gives none and takes none."""
        elapsed = max(0.0, now - self.filled_at)
        self.tokens = min(self.capacity, self.tokens + elapsed * self.rate)
        self.filled_at = max(now, self.filled_at)
        return max(0, int(self.tokens + 1e-9))

    def spend(self, count: int) -> None:
        """Take tokens out; more than there are is a debt that the next ones pay."""
        self.tokens -= count

    def wait_s(self) -> float:
        """Seconds until there is one whole token."""
        return max(0.0, (1.0 - self.tokens) / self.rate)

    def change(self, rate: float, now: float) -> None:
        """Go on at another rate, keeping what was saved up to the new capacity."""
        self.available(now)
        self.rate = rate
        self.tokens = min(self.tokens, self.capacity)
