"""The report in headless Chromium, from disk as a person opens it."""

import io
import json
import re
import time

import numpy as np
import pytest
from PIL import Image

from editar_cli.report import Heading, write_report
from tests import webdriver

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(webdriver.missing() is not None, reason=str(webdriver.missing())),
]

DESKTOP, PHONE = (1440, 900), (390, 844)
# Cards are filled as they come into sight, which on a busy machine takes a moment.
LOADED = (
    "document.querySelector('.card:not(:empty)')"
    " && [...document.images].every((image) => image.complete && image.naturalWidth)"
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with webdriver.browser(tmp_path_factory.mktemp("profile")) as window:
        yield window


@pytest.fixture
def browser(chromium):
    """A desktop window in light colours; the page must not have complained in the end."""
    chromium.window(*DESKTOP)
    chromium.scheme("light")
    chromium.complaints()
    yield chromium
    assert chromium.complaints() == []


def flat(path, colour, size=(600, 400), **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(path, **more)
    return path.name


RED, BLUE = (200, 30, 30), (30, 30, 200)


@pytest.fixture
def folder(tmp_path):
    """Twelve red sources and their blue outputs, one failed and one skipped."""
    records = []
    for number in range(12):
        flat(tmp_path / f"photos/{number}.png", RED)
        flat(tmp_path / f"out/{number}.png", BLUE)
        flat(tmp_path / f"maps/{number}.png", (0, 120, 0))
        status = {3: "failed", 4: "skipped"}.get(number, "done")
        record = {
            "input": f"photos/{number}.png", "output": f"out/{number}.png", "status": status,
            "instruction": f"as number {number}", "seed": number, "seconds": 1.5,
            "map": f"maps/{number}.png",
        }  # fmt: skip
        records.append(record | ({"error": "memory ran out"} if status == "failed" else {}))
    write(tmp_path, records)
    return tmp_path


def write(folder, records, **facts):
    write_report(folder / "report.html", records, Heading(facts=facts), base=folder)


def open_page(browser, folder):
    browser.open(folder / "report.html")
    browser.wait(LOADED)


def box(browser, selector):
    """Left, top, width and height of the first element that fits, in the window."""
    script = "const b = document.querySelector(arguments[0]).getBoundingClientRect();"
    return browser.run(f"{script} return [b.left, b.top, b.width, b.height]", selector)


def colour_at(browser, folder, selector, across, down=0.4):
    """What is seen at a place of an element, from 0 to 1."""
    left, top, width, height = box(browser, selector)
    data = browser.shoot(folder / "shot.png")
    with Image.open(io.BytesIO(data)) as shot:
        return shot.convert("RGB").getpixel((int(left + across * width), int(top + down * height)))


def value(browser, selector=".pics.two"):
    return int(
        browser.run(
            "return document.querySelector(arguments[0]).getAttribute('aria-valuenow')", selector
        )
    )


def test_the_divider_parts_before_and_after(browser, folder):
    open_page(browser, folder)
    assert colour_at(browser, folder, ".pics.two", 0.25) == RED
    assert colour_at(browser, folder, ".pics.two", 0.75) == BLUE


@pytest.mark.parametrize("kind", ["mouse", "touch"])
def test_the_divider_follows_mouse_and_finger(browser, folder, kind):
    open_page(browser, folder)
    left, top, width, height = box(browser, ".pics.two")
    middle = top + height / 3
    browser.drag(
        (left + width / 2, middle), (left + width * 0.7, middle), (left + width * 0.9, middle),
        kind=kind,
    )  # fmt: skip
    assert value(browser) == pytest.approx(90, abs=1)
    assert colour_at(browser, folder, ".pics.two", 0.75) == RED
    assert not browser.run("return document.getElementById('viewer').open")


def test_a_click_opens_the_picture_large(browser, folder):
    open_page(browser, folder)
    left, top, width, height = box(browser, ".pics.two")
    browser.drag((left + width / 4, top + height / 3), kind="mouse")
    assert browser.run("return document.getElementById('viewer').open")
    assert box(browser, ".viewer .pics")[2] > width * 1.5
    # Here the divider comes to where one presses.
    left, top, width, height = box(browser, ".viewer .pics")
    browser.drag((left + width / 4, top + height / 3), kind="mouse")
    assert value(browser, ".viewer .pics") == pytest.approx(25, abs=1)
    browser.press("Escape")
    assert not browser.run("return document.getElementById('viewer').open")
    assert value(browser) == pytest.approx(25, abs=1)


def test_keys_move_the_divider_and_go_from_picture_to_picture(browser, folder):
    open_page(browser, folder)
    current = "return document.activeElement.closest('.card').getAttribute('aria-label')"
    browser.press("j")
    assert browser.run(current) == "0.png, done"
    browser.press("Right", "Right", "Left")
    assert value(browser) == 52
    browser.press("Home")
    assert value(browser) == 0
    browser.press("End")
    assert value(browser) == 100
    browser.press("j", "Down", "Down")
    assert browser.run(current) == "3.png, failed"
    browser.press("j", "j", "j", "j", "j", "j", "j", "j", "j")
    assert browser.run(current) == "11.png, done"
    assert browser.run("return scrollY") > 0
    browser.press("k", "Up")
    assert browser.run(current) == "9.png, done"
    browser.press("Enter")
    assert browser.run("return document.getElementById('viewer-name').textContent") == "9.png"
    browser.press("k", "Right")
    assert browser.run("return document.getElementById('viewer-name').textContent") == "8.png"
    assert value(browser, ".viewer .pics") == 52
    browser.run("document.getElementById('viewer-on').click()")
    assert browser.run("return document.getElementById('viewer-name').textContent") == "9.png"
    browser.run("document.getElementById('viewer-back').click()")
    browser.press("Escape")
    assert browser.run(current) == "8.png, done"
    browser.press("?")
    assert browser.run("return document.getElementById('help').open")
    browser.press("Escape")
    browser.press("/")
    assert browser.run("return document.activeElement.id") == "search"


def test_the_map_takes_the_place_of_the_source(browser, folder):
    open_page(browser, folder)
    browser.press("j", "m")
    browser.wait(LOADED)
    assert colour_at(browser, folder, ".pics.two", 0.25) == (0, 120, 0)
    assert colour_at(browser, folder, ".pics.two", 0.75) == BLUE
    browser.press("m")
    assert colour_at(browser, folder, ".pics.two", 0.25) == RED


def test_pictures_are_filtered_by_status_and_words(browser, folder):
    open_page(browser, folder)
    names = (
        "return [...document.querySelectorAll('.card:not([hidden])')]"
        ".map((card) => card.getAttribute('aria-label'))"
    )
    assert len(browser.run(names)) == 12
    click = "document.querySelector('#filters .{}').click()"
    browser.run(click.format("failed"))
    assert browser.run(names) == ["3.png, failed"]
    browser.wait("document.querySelector('.card.failed .said')")
    browser.press("j", "Enter")
    foot = browser.run("return document.getElementById('viewer-foot').textContent")
    assert "memory ran out" in foot
    browser.press("Escape")
    browser.run(click.format("all"))
    browser.press("/")
    browser.press(*"number 1")
    browser.wait(f"(() => {{ {names} }})().length === 3")
    assert browser.run(names) == ["1.png, done", "10.png, done", "11.png, done"]
    assert browser.run("return document.getElementById('count').textContent") == "3 of 12 pictures"
    browser.press(*"xyz")
    browser.wait("!document.getElementById('empty').hidden")
    browser.press("Escape")
    assert len(browser.run(names)) == 12


def test_candidates_take_the_place_of_the_result(browser, tmp_path):
    GREEN = (0, 160, 0)
    for name, colour in (("in", RED), ("out", BLUE), ("1", GREEN), ("2", BLUE)):
        flat(tmp_path / f"{name}.png", colour)
    record = {
        "input": "in.png", "output": "out.png", "status": "done",
        "candidates": ["1.png", "2.png"], "scores": [-0.25, 0.125], "chosen": 2,
    }  # fmt: skip
    write(tmp_path, [record, record | {"input": "other.png", "candidates": None}])
    open_page(browser, tmp_path)
    browser.press("j", "Enter")
    browser.wait(LOADED)
    pressed = "[...document.querySelectorAll('.candidates [aria-pressed=true]')]"
    labels = f"return {pressed}.map((button) => button.getAttribute('aria-label'))"
    assert browser.run(labels) == ["Candidate 2, 0.125, chosen"]
    browser.run("document.querySelector('.candidates button').click()")
    browser.wait(LOADED)
    assert browser.run(labels) == ["Candidate 1, -0.250"]
    assert colour_at(browser, tmp_path, ".viewer .pics.two", 0.75) == GREEN
    browser.press("c")
    assert browser.run(labels) == ["Candidate 2, 0.125, chosen"]
    # Elsewhere the result is the result.
    browser.press("c", "Escape")
    assert colour_at(browser, tmp_path, ".card .pics.two", 0.75) == BLUE
    browser.press("j", "Enter")
    assert not browser.run("return document.querySelector('.candidates')")


HOSTILE = "<img src=x onerror=alert(1)>#1 100%?\u2028'\"&amp;\\"


def test_hostile_names_and_texts_are_shown_as_they_are(browser, tmp_path):
    name = HOSTILE.replace("/", "")
    flat(tmp_path / "in.png", RED)
    (tmp_path / "in.png").rename(tmp_path / f"{name}.png")
    flat(tmp_path / "out.png", BLUE)
    text = "</script><script>alert(1)</script>"
    record = {"input": f"{name}.png", "output": "out.png", "instruction": text, "notes": [text]}
    write(tmp_path, [record], model=text)
    open_page(browser, tmp_path)
    assert browser.run("return document.images.length") == 2
    assert browser.run("return document.querySelector('h1').textContent") == f"\u201c{text}\u201d"
    assert browser.run("return document.querySelector('.name').textContent") == f"{name}.png"
    assert colour_at(browser, tmp_path, ".pics.two", 0.25) == RED
    browser.press("j", "Enter")
    foot = browser.run("return document.getElementById('viewer-foot').textContent")
    assert foot.count(text) == 2
    link = browser.run("return document.querySelector('#viewer-links a').href")
    assert link.startswith("file:///")


QUARTERS = np.kron(
    np.array([[[220, 0, 0], [0, 160, 0]], [[0, 0, 220], [200, 200, 0]]], np.uint8),
    np.ones((200, 300, 1), np.uint8),
)


@pytest.mark.parametrize("turned", [1, 3, 6, 8])
@pytest.mark.parametrize("name", ["in.jpg", "in.png", "in.tif"])
def test_a_turned_source_lies_under_its_upright_output(browser, tmp_path, name, turned):
    exif = Image.Exif()
    exif[0x0112] = turned
    back = {1: 0, 3: 180, 6: 90, 8: 270}[turned]
    upright = Image.fromarray(QUARTERS)
    stored = upright.rotate(back, expand=True)
    stored.save(tmp_path / name, exif=exif, **({"quality": 100} if name == "in.jpg" else {}))
    upright.save(tmp_path / "out.png")
    write(tmp_path, [{"input": name, "output": "out.png", "status": "done"}])
    open_page(browser, tmp_path)
    for percent in (0, 100):
        browser.run(f"place(all[0], {percent})")
        for down, row in ((0.25, 0), (0.75, 1)):
            for across, column in ((0.25, 0), (0.75, 1)):
                seen = colour_at(browser, tmp_path, ".pics.two", across, down)
                assert seen == pytest.approx(tuple(QUARTERS[row * 200, column * 300]), abs=6)


@pytest.mark.parametrize(
    ("fit", "part"),
    [("crop", (slice(None), slice(100, 500))), ("stretch", (slice(None), slice(None)))],
)
def test_a_source_lies_under_a_square_as_the_model_saw_it(browser, tmp_path, fit, part):
    source = Image.fromarray(QUARTERS)
    source.save(tmp_path / "in.png")
    Image.fromarray(np.ascontiguousarray(QUARTERS[part])).resize((400, 400)).save(
        tmp_path / "o.png"
    )
    write(tmp_path, [{"input": "in.png", "output": "o.png", "status": "done"}], fit=fit)
    open_page(browser, tmp_path)
    seen = []
    for percent in (0, 100):
        browser.run(f"place(all[0], {percent})")
        seen.append([colour_at(browser, tmp_path, ".pics.two", x, 0.2) for x in (0.2, 0.45, 0.55)])
    assert seen[0] == seen[1]


def test_transparency_shows_a_checkerboard_and_not_the_other_picture(browser, tmp_path):
    flat(tmp_path / "in.png", (*RED, 0))
    flat(tmp_path / "out.png", (*BLUE, 0))
    write(tmp_path, [{"input": "in.png", "output": "out.png", "status": "done"}])
    open_page(browser, tmp_path)
    left, top = map(int, box(browser, ".pics.two")[:2])
    data = browser.shoot(tmp_path / "shot.png")
    with Image.open(io.BytesIO(data)) as shot:
        part = shot.convert("RGB").crop((left + 30, top + 30, left + 110, top + 110))
    colours = {colour for _, colour in part.getcolors()}
    assert len(colours) == 2
    assert all(max(colour) - min(colour) < 12 for colour in colours)


def luminance(colour):
    parts = [part / 255 for part in colour]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_the_screen_and_can_be_read(browser, folder, size, scheme):
    browser.window(*size, scale=2 if size == PHONE else 1, touch=size == PHONE)
    browser.scheme(scheme)
    open_page(browser, folder)
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    for selector in ("h1", ".facts", ".name", ".second", ".side", ".filters .failed", ".said b"):
        style = "getComputedStyle(document.querySelector(arguments[0])).color"
        ink = browser.run(f"return {style}", selector)
        where = ".mat" if selector.startswith(".said") else "body"
        paper = browser.run(
            f"return getComputedStyle(document.querySelector('{where}')).backgroundColor"
        )
        numbers = [tuple(map(int, re.findall(r"\d+", text)[:3])) for text in (ink, paper)]
        assert contrast(*numbers) >= 4.5, (selector, ink, paper)
    paper = np.array(tuple(map(int, re.findall(r"\d+", paper)[:3])))
    assert (paper.mean() > 128) == (scheme == "light")
    left, _, width, _ = box(browser, ".card")
    across = width / size[0]
    assert across > 0.85 if size == PHONE else across < 0.5
    browser.press("j", "Enter")
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    left, top, width, height = box(browser, ".viewer .pics")
    assert left >= 0 and left + width <= size[0] + 1
    assert top >= 0 and top + height <= size[1] + 1
    data = browser.shoot(folder / "shot.png")
    with Image.open(io.BytesIO(data)) as shot:
        colours = {colour for _, colour in shot.convert("RGB").getcolors(1 << 20)}
    assert {RED, BLUE} <= colours


def test_five_thousand_pictures_open_at_once(browser, tmp_path):
    for name, colour in (("in", RED), ("out", BLUE)):
        flat(tmp_path / f"{name}.png", colour, size=(1200, 800))
    records = [
        {
            "input": f"in/{number}.png", "output": f"out/{number}.png", "status": "done",
            "instruction": f"make number {number} snowy", "seed": 2**62 + number, "seconds": 1.0,
        }
        for number in range(5000)
    ]  # fmt: skip
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
        for number in range(5000):
            (tmp_path / name / f"{number}.png").hardlink_to(tmp_path / f"{name}.png")
    write(tmp_path, records)
    start = time.monotonic()
    browser.open(tmp_path / "report.html")
    browser.wait(LOADED)
    opened = time.monotonic() - start
    times = browser.run(
        "const [page] = performance.getEntriesByType('navigation');"
        "const paint = performance.getEntriesByName('first-contentful-paint');"
        "return {ready: page.domContentLoadedEventEnd, load: page.loadEventEnd,"
        "        paint: paint.length ? paint[0].startTime : null}"
    )
    print(f"5,000 pictures: {json.dumps(times)} ms, all seen ones loaded after {opened:.2f} s")
    assert times["ready"] < 3000
    assert times["paint"] is None or times["paint"] < 4000
    assert 0 < browser.run("return document.images.length") < 200

    start = time.monotonic()
    browser.run("scrollTo(0, document.body.scrollHeight)")
    browser.wait("document.querySelector('.card:last-child img')")
    browser.wait(LOADED)
    print(f"scrolled to the end in {time.monotonic() - start:.2f} s")
    assert 0 < browser.run("return document.images.length") < 400
    browser.press("/", *"number 4711")
    browser.wait("document.getElementById('count').textContent === '1 of 5000 pictures'")
    browser.wait("document.querySelector('.card:not([hidden]) img')")
    assert colour_at(browser, tmp_path, ".card:not([hidden]) .pics", 0.25) == RED


def test_on_paper_both_pictures_stand_side_by_side(browser, folder):
    open_page(browser, folder)
    browser.devtools("Emulation.setEmulatedMedia", media="print")
    try:
        browser.run("dispatchEvent(new Event('beforeprint'))")
        browser.wait(LOADED)
        first, second = browser.run(
            "return [...document.querySelectorAll('.pics.two')][0]"
            ".querySelectorAll('img').values().map((i) => {"
            " const b = i.getBoundingClientRect(); return [b.left, b.right, b.top]; }).toArray()"
        )
        assert first[1] <= second[0]
        assert first[2] == second[2]
        assert browser.run("return document.images.length") >= 23
    finally:
        browser.devtools("Emulation.setEmulatedMedia", media="")
