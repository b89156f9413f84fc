"""Services as processes: with a secret that everybody knows they end at once, with one line that never repeats it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
GOOD = "k9Xw-pZ3vQ_71hT"
BASE = {
    "LABELSTREAM_KAFKA_BOOTSTRAP": "127.0.0.1:1",
    "LABELSTREAM_KAFKA_SASL_USERNAME": "someone",
    "LABELSTREAM_KAFKA_SASL_PASSWORD": GOOD,
    "LABELSTREAM_ASSIGNMENT_DATABASE_URL": f"postgresql://a:{GOOD}@127.0.0.1:1/x?sslmode=verify-full",
    "LABELSTREAM_QC_DATABASE_URL": f"postgresql://q:{GOOD}@127.0.0.1:1/x?sslmode=verify-full",
}
CASES = {
    "kafka": ("prelabel", "LABELSTREAM_KAFKA_SASL_PASSWORD", "Changeme1", "LABELSTREAM_KAFKA_SASL_PASSWORD is a well"),
    "token": ("assignment", "LABELSTREAM_ASSIGNMENT_ADMIN_TOKEN", "hunter2", "LABELSTREAM_ASSIGNMENT_ADMIN_TOKEN is"),
    "source": (
        "prelabel",
        "LABELSTREAM_PRELABEL_SOURCE_CREDENTIALS",
        '{"shop": {"sasl_username": "shop", "sasl_password": "letmein123"}}',
        "source_credentials.shop",
    ),
    "database": (
        "qc",
        "LABELSTREAM_QC_DATABASE_URL",
        "postgresql://qc:secret99@127.0.0.1:1/x?sslmode=verify-full",
        "the password in database_url is a well-known default",
    ),
}


@pytest.mark.timeout(90)
async def test_a_service_with_a_default_secret_does_not_start() -> None:
    async with asyncio.TaskGroup() as group:
        for case in CASES:
            group.create_task(ends_at_once(case))


async def ends_at_once(case: str) -> None:
    service, variable, value, says = CASES[case]
    environment = {key: one for key, one in os.environ.items() if not key.startswith("LABELSTREAM_")}
    port = {f"LABELSTREAM_{service.upper()}_PORT": "0"}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", f"services.{service}"],
        cwd=REPOSITORY, env=environment | BASE | port | {variable: value}, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode == 1, output
    assert says in output
    assert "Traceback" not in output
    assert not [secret for secret in ("Changeme1", "hunter2", "letmein123", "secret99") if secret in output]
