"""Headless Chromium out of Debian's packages, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

from tests.support.debian import chromium, or_skip

LIBRARIES = "usr/lib/x86_64-linux-gnu"


@asynccontextmanager
async def browser() -> AsyncGenerator[Browser]:
    """A browser of the machine's own where there is one, else Debian's."""
    own = shutil.which("chromium-headless-shell")
    environment: dict[str, str | float | bool] = dict(os.environ)
    if own is None:
        root = or_skip(chromium)
        own = str(root / "usr/lib/chromium/chromium-headless-shell")
        paths = [str(root / LIBRARIES), str(root / LIBRARIES / "pulseaudio"), os.environ.get("LD_LIBRARY_PATH", "")]
        environment["LD_LIBRARY_PATH"] = ":".join(filter(None, paths))
    async with async_playwright() as play:
        # Its sandbox wants a user that may make namespaces, which root in a container may not.
        running = await play.chromium.launch(executable_path=own, env=environment, chromium_sandbox=False)
        try:
            yield running
        finally:
            await running.close()
