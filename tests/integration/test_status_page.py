"""The status page in a real browser: Chromium, headless."""

import re
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from playwright.async_api import Browser, ConsoleMessage, HttpCredentials, Page, expect

from services.monitor.api.application import make_api
from services.monitor.domain.accuracy import Rate
from services.monitor.domain.kinds import Kinds, Objects
from services.monitor.domain.overview import ClassShare, Mix
from tests.support.browser import browser
from tests.support.status import PROJECT, TOKEN, Fixed, fixed, person, serving

HOSTILE = '</text></svg><img src=x onerror="window.harmed=1"><script>window.harmed=1</script>\'"&amp;'
AGREED = HttpCredentials(username="any", password=TOKEN)
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def chromium() -> AsyncGenerator[Browser]:
    async with browser() as running:
        yield running


@pytest.fixture
async def reading() -> Fixed:
    return Fixed(fixed())


@pytest.fixture
async def url(reading: Fixed) -> AsyncGenerator[str]:
    async with serving(make_api(reading, token=TOKEN)) as base:
        yield base


def watched(page: Page) -> list[str]:
    """What the page complains about, and where else it goes."""
    found: list[str] = []

    def said(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            found.append(message.text)

    page.on("console", said)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("request", lambda request: None if "127.0.0.1" in request.url else found.append(request.url))
    page.on("dialog", lambda dialog: found.append(dialog.message))
    return found


async def test_everything_is_drawn_and_stays_current(chromium: Browser, url: str, reading: Fixed) -> None:
    page = await (await chromium.new_context(http_credentials=AGREED)).new_page()
    found = watched(page)
    await page.clock.install()
    await page.goto(url)
    assert page.url == f"{url}/status"
    for heading in (
        "Flow",
        "Alarms",
        "Evidence of drift",
        "Class mix against reference",
        "Quality by path",
        "Objects",
        "Annotators",
    ):
        await expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    lines = page.locator("svg polyline")
    assert await lines.count() == 12
    near = page.locator("tbody tr", has_text="9.98 of 16.1 nats")
    await expect(near).to_contain_text("62.0%")
    await expect(page.get_by_text("at most 0.10 false alarms per 100,000 events, all of them together")).to_be_visible()
    await expect(page.locator("tbody tr", has_text="disagreement")).to_contain_text("traffic +3.1, model +0.4")
    box = await lines.first.bounding_box()
    assert box is not None
    assert box["width"] > 200
    assert await page.locator("tbody tr", has_text="quarantined").count() == 1
    auto = page.locator("tbody tr", has_text="612 blind audits")
    await expect(auto).to_contain_text("98.3%")
    await expect(auto.locator("svg title")).to_have_text("0.983, 0.968 to 0.991")
    assert await page.locator("tbody tr", has_text="820 gold answers").count() == 1, "of consensus, by qc's calibration"
    await expect(page.locator("tbody tr", has_text="extents of m7")).to_contain_text("14.2%")
    await expect(page.locator("tbody tr", has_text="words of asr-3")).to_contain_text("14,210 words")
    await page.screenshot()
    reading.view = fixed(people=[person("newcomer", 0.5)], alarms=[])
    await page.clock.fast_forward(6_000)
    await expect(page.get_by_text("newcomer")).to_be_visible()
    await expect(page.get_by_text("No alarm is open.")).to_be_visible()
    assert await page.get_by_text("ada").count() == 0
    assert found == []


async def test_hostile_names_are_text(chromium: Browser, url: str, reading: Fixed) -> None:
    view = fixed()
    mix = Mix((ClassShare(HOSTILE, 0.6, 0.4), ClassShare("b", 0.4, 0.6)), 10, 10)
    about = replace(
        view.overview, mixes={"predictions": mix, "labels": mix}, audits={HOSTILE: view.overview.audits["m7"]}
    )
    told = view.alarms[0]
    shift = told.effect.classes[0].model_copy(update={"symbol": HOSTILE})
    told = told.model_copy(
        update={
            "summary": HOSTILE,
            "exemplars": (HOSTILE,),
            "effect": told.effect.model_copy(update={"classes": (shift,)}),
        }
    )
    counted = {HOSTILE: Objects(10, Counter(b=20), Counter({"": 60}))}
    kinds = Kinds(counted, extent={HOSTILE: Rate(0.1, 0.0, 0.2, 9)}, words={HOSTILE: Rate(0.1, 0.0, 0.2, 9)})
    about = replace(about, kinds=kinds, objects={HOSTILE: mix})
    about.figures.accuracy["model", HOSTILE] = view.overview.figures.accuracy["model", "m7"].model_copy(
        update={"name": HOSTILE, "labels": 10**6}
    )
    reading.view = replace(
        view, overview=about, alarms=[told], people=[person(HOSTILE, 0.9)], stopped={"database": HOSTILE}, more=True
    )
    page = await (await chromium.new_context(http_credentials=AGREED)).new_page()
    found = watched(page)
    await page.clock.install()
    await page.goto(f"{url}/status?project={PROJECT}")
    async with page.expect_response(re.compile("/status/live")):
        await page.clock.fast_forward(6_000)
    assert await page.get_by_text(HOSTILE).count() >= 5
    assert await page.locator("img").count() == 0
    assert await page.locator("main script").count() == 0
    assert await page.evaluate("window.harmed") is None
    assert found == []


async def test_the_policy_stops_what_should_never_be_there(chromium: Browser, url: str) -> None:
    """Were a value ever to become markup, it still could not run or call out."""
    page = await (await chromium.new_context(http_credentials=AGREED)).new_page()
    await page.goto(f"{url}/status")
    await page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.harmed=1\">');"
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.harmed=1'}))"
    )
    await page.wait_for_timeout(200)
    assert await page.evaluate("window.harmed") is None
    refused = await page.evaluate("fetch('http://127.0.0.2:9/').then(() => 'sent', (error) => error.name)")
    assert refused == "TypeError"


async def test_without_a_script_and_without_a_token(chromium: Browser, url: str) -> None:
    plain = await chromium.new_context(http_credentials=AGREED, java_script_enabled=False)
    page = await plain.new_page()
    await page.goto(f"{url}/status")
    await expect(page.get_by_text("Predicted classes have moved")).to_be_visible()
    await expect(page.get_by_role("button", name="Show")).to_be_visible()
    assert await page.locator("svg polyline").count() == 12
    stranger = await (await chromium.new_context()).new_page()
    answer = await stranger.goto(f"{url}/status/live")
    assert answer is not None
    assert answer.status == 401
