"""The page in a real browser: every view, by mouse and by keyboard, in the dark, on small screens.

Chromium of the system is started by Playwright; the place of another one can be given in PIXEL_M4_CHROMIUM.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import matplotlib
import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect, sync_playwright

from pixel_m4.demo.app import create_app
from pixel_m4.demo.models import Models
from pixel_m4.demo.run import listen
from pixel_m4.demo.sentences import EXAMPLES

ARABIC = next(each.text for each in EXAMPLES if each.language == "Arabic")
TABS = ["see", "hide", "predict", "attack", "explain", "nearest"]
QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
QUIET += "--disable-component-update --disable-sync"
expect.set_options(timeout=10_000)


@pytest.fixture(scope="module")
def address(models: Models) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:  # a browser takes seconds to check 15 MB of font
        font = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
        patch.setattr("pixel_m4.demo.app.find_font", lambda: font)
        app = create_app(models, list(EXAMPLES), allowed_hosts=["127.0.0.1"], threads=2, warm=False)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    names = (os.environ.get("PIXEL_M4_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    place = next(filter(None, (shutil.which(name) for name in names if name)), None)
    if place is None:
        pytest.skip("needs a browser: apt-get install chromium, or set PIXEL_M4_CHROMIUM to the place of one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=place, args=QUIET.split())
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(browser: Browser) -> BrowserContext:
    return browser.new_context(viewport={"width": 1100, "height": 900})


@pytest.fixture
def page(context: BrowserContext, address: str) -> Iterator[Page]:
    """A page that must not complain, nor ask for anything elsewhere."""
    page = context.new_page()
    yield from watched(page, address)


def watched(page: Page, address: str) -> Iterator[Page]:
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith((address, "data:")) else said.append(request.url),
    )
    yield page
    page.close()
    assert said == []


def visit(page: Page, address: str, **state: str) -> Locator:
    """Open the page; the panel that is seen, when it is up to date."""
    page.goto(f"{address}/#{urlencode(state)}")
    expect(page.locator("#status")).to_have_text(re.compile(r"^\d+ ms$"))
    return page.locator("[role=tabpanel]:visible")


def no_violations(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_characters_and_patches_point_at_each_other(page: Page, address: str) -> None:
    panel = visit(page, address, text="My cat 𝖙.")
    expect(panel.locator(".patch")).to_have_count(6)
    panel.locator(".text span", has_text="c").hover()
    expect(panel.locator(".patch.lit")).to_have_count(1)
    expect(panel.locator(".patch.lit")).to_have_attribute("data-patch", "2")
    panel.locator(".patch").nth(3).hover()
    expect(panel.locator(".text .lit")).to_have_text("t")
    expect(panel.get_by_text("patch 3: “t”")).to_be_visible()
    expect(panel.locator(".text .missing")).to_have_text("𝖙")
    expect(panel.locator(".patch.missing")).to_have_count(1)
    expect(panel.locator(".patch.start")).to_have_count(3)


def test_strategies_draw_in_other_ways_and_zoom_enlarges(page: Page, address: str) -> None:
    panel = visit(page, address, text="My cat drinks milk")
    before = panel.get_by_role("listbox").get_attribute("style") or ""
    panel.get_by_label("Strategy").select_option("continuous")
    expect(page).to_have_url(re.compile("strategy=continuous"))
    expect(panel.locator("dd").nth(1)).to_have_text("4")
    expect(panel.get_by_role("listbox")).not_to_have_attribute("style", before)
    width = panel.locator(".patch").first.bounding_box()["width"]  # type: ignore[index]
    page.get_by_label("Zoom").press("ArrowRight")
    assert panel.locator(".patch").first.bounding_box()["width"] == 1.5 * width == 48  # type: ignore[index]


def test_right_to_left_text_begins_at_the_right(page: Page, address: str) -> None:
    panel = visit(page, address, text=ARABIC)
    boxes = [each.bounding_box() for each in panel.locator(".patch").all()]
    assert [box["x"] for box in boxes] == sorted((box["x"] for box in boxes), reverse=True)  # type: ignore[index]
    expect(panel.locator(".patch").first).to_have_attribute("aria-label", re.compile("black"))
    assert panel.locator(".text").evaluate("each => getComputedStyle(each).direction") == "rtl"
    assert page.get_by_label("Text", exact=True).evaluate("each => getComputedStyle(each).direction") == "rtl"


def test_patches_are_hidden_painted_and_read_with_the_keyboard_alone(page: Page, address: str) -> None:
    panel = visit(page, address, tab="hide", text="My cat sleeps.")
    expect(panel.get_by_text("Nothing is hidden yet.")).to_be_visible()
    page.get_by_role("button", name="Show all").focus()
    page.keyboard.press("Tab")
    for key in ("ArrowRight", "ArrowRight", "Space", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    expect(panel.locator(".patch[aria-selected=true]")).to_have_count(2)
    expect(panel.get_by_role("row")).to_have_count(3 - 1)  # the head, and one gap of two patches
    expect(page).to_have_url(re.compile("hidden=2%2C3"))
    expect(panel.locator(".painted")).to_have_count(2)
    # also after the picture came anew
    expect(page.locator(":focus")).to_have_attribute("data-patch", "3")
    panel.locator(".patch").nth(2).click()
    expect(panel.locator(".patch[aria-selected=true]")).to_have_count(1)
    page.get_by_role("button", name="Hide a quarter").click()
    expect(panel.locator(".painted")).to_have_count(2)
    page.get_by_label("Text", exact=True).fill("Another text")
    expect(panel.locator(".patch[aria-selected=true]")).to_have_count(0)
    expect(page).not_to_have_url(re.compile("hidden"))


def test_a_tree_is_drawn_over_text_and_over_pixels(page: Page, address: str, models: Models) -> None:
    annotator: Any = models.served["pixel-m4-ud"].annotator
    parsed = annotator.predict(["My cat sleeps."])[0].tree
    panel = visit(page, address, tab="predict", text="My cat sleeps.")
    trees = panel.locator(".over")
    expect(trees).to_have_count(2)
    for tree in trees.all():
        expect(tree.locator("path.arc")).to_have_count(4)
        expect(tree.locator("text.tag")).to_have_text(parsed.upos)
        expect(tree.locator("text.relation")).to_have_text(
            ["root", *(r for r in parsed.deprels if r != "root")]
        )
    panel.get_by_text("As a table").click()
    expect(panel.get_by_role("row")).to_have_count(5)
    # Arrows end above their words: that of "cat" between the borders of "cat".
    box = trees.nth(0).locator(".word").nth(1).bounding_box()
    arrows = [each.bounding_box() for each in trees.nth(0).locator("path.arrow").all()]
    assert any(box["x"] < arrow["x"] < box["x"] + box["width"] for arrow in arrows)  # type: ignore[index]


def test_entities_and_classes_are_drawn(page: Page, address: str, models: Models) -> None:
    panel = visit(page, address, tab="predict", text="My cat sleeps.", model="ner")
    said: Any = models.served["ner"].annotator
    found = said.predict(["My cat sleeps."])[0].tags
    entities = sum(tag[0] == "B" for tag in found)
    expect(panel.locator(".over").nth(1).locator("text.relation")).to_have_count(entities)
    panel.get_by_label("Model").select_option("classification")
    expect(panel.locator(".bars li")).to_have_count(2)
    expect(panel.locator(".bars")).to_contain_text("good")


def test_a_slider_attacks_the_text(page: Page, address: str) -> None:
    panel = visit(page, address, tab="attack", text="My cat drinks warm milk", strength="0")
    expect(panel.get_by_text("0 % of the words")).to_be_visible()
    slider = panel.get_by_label("Strength")
    slider.press("End")
    expect(panel.locator("mark")).to_have_count(4)
    expect(panel.get_by_text(re.compile(r"^80 % of the words"))).to_be_visible()
    expect(page).to_have_url(re.compile("strength=1"))
    panel.get_by_label("Attack").select_option("segmentation")
    expect(panel.get_by_text("the words are cut in another way")).to_be_visible()


def test_decisions_are_explained(page: Page, address: str) -> None:
    panel = visit(page, address, tab="explain", text="My cat sleeps.")
    decisions = panel.locator("select[data-out=decisions]")
    expect(decisions.locator("option")).to_have_count(4)
    panel.get_by_role("button", name="sleeps").click()
    expect(decisions).to_have_value("2")
    expect(panel.get_by_role("button", name="sleeps")).to_have_attribute("aria-pressed", "true")
    weights = panel.locator(".patch").evaluate_all(
        "all => all.map(each => Number(each.style.getPropertyValue('--weight')))"
    )
    assert max(weights) == 1
    assert weights[-1] == 0
    panel.get_by_label("Method").select_option("occlusion_words")
    expect(page).to_have_url(re.compile("method=occlusion_words"))
    page.get_by_label("Text", exact=True).fill("a " * 101)
    expect(page.get_by_text("A text of at most 200 characters can be explained.")).to_be_visible()


def test_an_answer_that_comes_late_is_not_shown(page: Page, address: str) -> None:
    panel = visit(page, address, tab="explain", text="My cat sleeps.")
    expect(panel.get_by_role("button", name="sleeps")).to_be_visible()
    held: list[Route] = []
    page.route("**/api/saliency", lambda route: held.append(route))
    with page.expect_request("**/api/saliency"):
        panel.get_by_label("Method").select_option("occlusion_words")
    page.get_by_label("Text", exact=True).fill("a " * 101)
    told = page.get_by_text("A text of at most 200 characters can be explained.")
    expect(told).to_be_visible()
    (late,) = held
    late.continue_()
    page.wait_for_timeout(500)
    expect(told).to_be_visible()


def test_the_nearest_sentences_are_listed_and_taken(page: Page, address: str) -> None:
    panel = visit(page, address, tab="nearest", text="Мій кіт п’є молоко.")
    expect(panel.locator("li")).to_have_count(10)
    expect(panel.get_by_text("weak at this")).to_be_visible()
    first = panel.locator(".take").first.inner_text()
    panel.locator(".take").first.click()
    expect(page.get_by_label("Text", exact=True)).to_have_value(first)


def test_a_link_holds_the_state(page: Page, address: str, context: BrowserContext) -> None:
    panel = visit(page, address)
    page.get_by_label("Example").select_option(label="Arabic")
    page.get_by_role("tab", name="Attack").click()
    panel.get_by_label("Seed").fill("7")
    page.get_by_label("Zoom").press("End")
    expect(page).to_have_url(re.compile("seed=7.*|zoom=6"))
    other = context.new_page()
    other.goto(page.url)
    expect(other.get_by_label("Text", exact=True)).to_have_value(ARABIC)
    expect(other.get_by_role("tab", name="Attack")).to_have_attribute("aria-selected", "true")
    expect(other.locator("#attack").get_by_label("Seed")).to_have_value("7")
    expect(other.get_by_label("Zoom")).to_have_value("6")
    other.close()


def test_a_link_cannot_bring_what_is_not_there(page: Page, address: str) -> None:
    wrong = {"tab": "x", "model": "/etc", "zoom": "99", "hidden": "<b>", "strategy": "none", "other": "1"}
    panel = visit(page, address, text="<img src=x onerror=alert(1)>", **wrong)
    assert panel.get_attribute("id") == "see"
    expect(panel.locator(".text")).to_have_text("<img src=x onerror=alert(1)>")
    expect(page.get_by_label("Zoom")).to_have_value("2")


def test_tabs_are_reached_by_keyboard(page: Page, address: str) -> None:
    visit(page, address, text="My cat")
    page.get_by_role("tab", name="See").focus()
    for name in [*TABS[1:], TABS[0]]:
        page.keyboard.press("ArrowRight")
        expect(page.locator("[role=tabpanel]:visible")).to_have_id(name)
        expect(page.locator(f"#tab-{name}")).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator("[role=tabpanel]:visible")).to_have_id("nearest")
    page.keyboard.press("Tab")
    expect(page.locator("#nearest")).to_be_focused()


@pytest.mark.parametrize(
    "names",
    [["attack"], pytest.param(["see", "hide", "predict", "explain", "nearest"], marks=pytest.mark.slow)],
)
def test_axe_finds_nothing(page: Page, address: str, names: list[str]) -> None:
    visit(page, address, hidden="2", text="My cat sleeps.")
    for name in names:
        page.get_by_role("tab", name=name.title()).click()
        expect(page.locator("body")).to_have_attribute("aria-busy", "false")
        no_violations(page)


@pytest.mark.slow
def test_axe_finds_nothing_in_the_dark_and_on_a_small_screen(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 340, "height": 700}, color_scheme="dark")
    for page in watched(context.new_page(), address):
        for name in TABS:
            visit(page, address, tab=name, hidden="2", text=ARABIC, strength="1")
            no_violations(page)
    context.close()


@pytest.mark.slow
def test_nothing_is_wider_than_a_small_screen(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 340, "height": 700}, has_touch=True)
    for page in watched(context.new_page(), address):
        visit(page, address, text=ARABIC, hidden="2")
        for name in TABS:
            page.get_by_role("tab", name=name.title()).click()
            expect(page.locator("body")).to_have_attribute("aria-busy", "false")
            assert page.evaluate("document.documentElement.scrollWidth") <= 340, name
    context.close()


def test_the_dark_is_dark_and_patches_stay_white(browser: Browser, address: str) -> None:
    context = browser.new_context(color_scheme="dark")
    for page in watched(context.new_page(), address):
        panel = visit(page, address, text="My cat")
        colour = "each => getComputedStyle(each).backgroundColor"
        assert page.locator("body").evaluate(colour) == "rgb(18, 21, 26)"
        assert panel.locator(".patch").first.evaluate(colour) == "rgb(255, 255, 255)"
    context.close()
