"""One replica without a broker."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.support.prelabel import Prelabel


@pytest.fixture
async def prelabel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Prelabel]:
    made = Prelabel.make(tmp_path / "models", monkeypatch)
    yield made
    await made.media.close()
