"""What tokens cost, in microseconds of one core: `python -m tests.bench.identity`."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from pydantic import SecretStr

from services.assignment.api.limits import Limits
from services.assignment.api.oidc import Verifier
from services.assignment.settings import OidcSettings
from tests.support.assignment import ADMIN_TOKEN, Replica
from tests.support.issuer import AUDIENCE, issuer

CALLS = 5_000


async def cost_us(call: Callable[[], Awaitable[object]], number: int = CALLS) -> float:
    """Processor time of one call."""
    before = time.process_time()
    for _ in range(number):
        await call()
    return (time.process_time() - before) / number * 1e6


async def measure() -> dict[str, float]:
    """Microseconds by what is done."""
    found = {}
    async with issuer() as idp:
        verifier = Verifier(OidcSettings(issuer=idp.url, audience=AUDIENCE, allow_insecure=True))
        for kid, kind in (("r1", "rs256"), ("e1", "es256")):
            token = idp.token("ann", kid)
            await verifier.check(token)
            found[f"{kind}_check_us"] = await cost_us(lambda token=token: verifier.check(token), 1_000)  # type: ignore[misc]
    replica = Replica(
        "postgresql://nobody@127.0.0.1/none", {"token_cache_s": 3600.0, "admin_token": SecretStr(ADMIN_TOKEN)}
    )
    header = f"Bearer {ADMIN_TOKEN}"
    found["known_token_us"] = await cost_us(lambda: replica.identities.identify(header))
    limits = Limits(1e9, 10)

    async def take() -> None:
        limits.take("ann")

    found["limit_us"] = await cost_us(take)
    return found


if __name__ == "__main__":
    for name, value in asyncio.run(measure()).items():
        print(f"{name:20} {value:8.1f}")
