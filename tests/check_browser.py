"""Checks of the rendered book in a real browser, after `make book`:

    pip install -c constraints.txt -e ".[site]"
    python -m pytest tests/check_browser.py

They want Chromium: on the PATH, or named in CHROMIUM.
"""

from pathlib import Path

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from torch import nn

from effcnn import analyses, book_draw, data, ledger, measure, models, results, runs

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
PAGES = sorted(path.name for path in SITE.glob("*.html"))
DESK = {"viewport": {"width": 1300, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 800}, "has_touch": True}
LOOKS = {
    "desktop": DESK,
    "dark": {**DESK, "color_scheme": "dark"},
    "phone": PHONE,
    "phone, dark": {**PHONE, "color_scheme": "dark"},
    "tablet": {"viewport": {"width": 820, "height": 1180}, "has_touch": True},
}
# The theme's own frame is left to the theme: what is checked is the article.
ARTICLE = {"include": [["article.bd-article"]]}
# Roles that docutils gives to the entries of a bibliography.
NOT_OURS = {"aria-allowed-role", "aria-deprecated-role", "aria-required-children"}


@pytest.fixture(scope="session", params=[name for name in LOOKS if name != "tablet"])
def look(request, browser):
    context = browser.new_context(**LOOKS[request.param])
    yield request.param, context
    context.close()


@pytest.fixture
def visit(look):
    """Open a page of the book; returns it with what it said and asked for."""
    tab = look[1].new_page()
    tab.set_default_timeout(10_000)
    said, asked = [], []
    tab.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))

    def open_page(name):
        tab.goto(f"{SITE.as_uri()}/{name}")
        tab.wait_for_load_state("load")
        return tab, said, asked

    yield open_page
    tab.close()


def assert_fits(tab):
    wide = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, f"{wide} pixels wider than the window"


def test_the_book_is_built():
    assert "index.html" in PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_quiet_fits_and_is_accessible(name, visit, look):
    tab, said, asked = visit(name)
    assert_fits(tab)
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert said == []
    # The same elements in the same two sets of colours stand on a phone.
    if look[0] in ("desktop", "dark") and tab.query_selector("article.bd-article"):
        found = Axe().run(tab, context=ARTICLE).response["violations"]
        found = [v for v in found if name != "references.html" or v["id"] not in NOT_OURS]
        assert [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found] == []


@pytest.mark.parametrize("look", ["tablet"], indirect=True)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_on_a_tablet(name, visit):
    tab, said, _ = visit(name)
    assert_fits(tab)
    assert said == []


def test_the_search_finds_pages_without_a_server(visit):
    tab, said, asked = visit("search.html?q=roofline")
    tab.wait_for_selector("#search-results li a")
    found = tab.locator("#search-results li a").evaluate_all("all => all.map((a) => a.pathname)")
    assert any(path.endswith("/depthwise.html") for path in found)
    tab.wait_for_timeout(500)  # time for an excerpt to be asked for
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_next_leads_through_the_whole_book(visit):
    tab, _, _ = visit("index.html")
    seen = ["index.html"]
    while tab.query_selector(".prev-next-area .right-next"):
        tab.click(".prev-next-area .right-next")
        tab.wait_for_load_state()
        seen.append(tab.url.rpartition("/")[2])
    assert sorted(seen) == sorted(set(PAGES) - {"search.html"})


def test_the_runs_can_be_searched_and_sorted(visit):
    tab, _, _ = visit("runs.html")
    every = tab.locator("#runs-table tbody tr").count()
    tab.fill("#runs-search", "cifar10 oc seed0")
    shown = tab.locator("#runs-table tbody tr:visible")
    assert 0 < shown.count() < every
    assert f"{shown.count()} of {every} runs" in tab.inner_text("#runs-count")
    tab.fill("#runs-search", "")
    column = "#runs-table thead th:nth-child(2)"
    for order, sort in (("ascending", False), ("descending", True)):
        tab.click(f"{column} button")
        assert tab.get_attribute(column, "aria-sort") == order
        texts = tab.locator("#runs-table tbody td:nth-child(2)").all_inner_texts()
        numbers = [float(text) for text in texts if text != "diverged"]
        assert numbers == sorted(numbers, reverse=sort)


def test_a_number_shows_its_origin_on_focus(visit):
    tab, _, _ = visit("index.html")
    number = tab.locator(".measured").first
    number.focus()
    shown = number.evaluate("e => getComputedStyle(e, '::after').content")
    assert number.get_attribute("data-origin") in shown


@pytest.fixture(scope="session")
def digits():
    """Of MNIST's test images where the data set is at hand, else of the embedded sample."""
    at_hand = (data.folder_for() / "MNIST" / "raw" / "t10k-images-idx3-ubyte").is_file()
    return data.load("mnist" if at_hand else "mnist-sample").test.images[:200]


def drawn():
    """The runs whose weights the page has."""
    source = (ROOT / "book" / "draw.md").read_text(encoding="utf-8")
    cells = source.split("{draw-a-digit} ")[1].splitlines()[0].split()
    return [analyses.with_weights(results.cell(name)) for name in cells]


def test_the_page_of_digits_answers_as_pytorch_does(visit, digits):
    tab, _, _ = visit("draw.html")
    for number, run in enumerate(drawn()):
        constants = run.record["normalisation"]
        pixels = data.normalise(digits, constants["mean"], constants["std"])
        with torch.no_grad():
            expected = runs.load(run)(pixels)
        got = tab.evaluate(
            "([net, all]) => all.map((p) => effcnnDraw.forward(effcnnDraw.nets[net], p).logits)",
            [number, digits.flatten(1).tolist()],
        )
        assert torch.allclose(torch.tensor(got), expected, atol=1e-3)


def test_the_page_of_digits_opens_with_the_one_that_wavers_most(visit):
    tab, _, _ = visit("draw.html")
    content = data.load("mnist-sample")
    first = [int((content.test.labels == digit).nonzero()[0]) for digit in range(10)]
    digits = data.Split(content.test.images[first], content.test.labels[first])
    counts = torch.stack([book_draw.others(run, digits, content) for run in drawn()])
    tab.wait_for_function("document.getElementById('draw-shifts').innerText.includes('of 48')")
    captions = tab.locator("#draw-shifts caption").all_inner_texts()
    worst = counts.sum(0).argmax()
    assert [caption.split(": ")[1] for caption in captions] == [
        f"{count} of 48 differ" for count in counts[:, worst].tolist()
    ]


def test_the_maps_of_both_nets_stand_side_by_side_and_follow_the_digit(visit, look):
    tab, _, _ = visit("draw.html")
    nets = [tab.locator(".draw-inside").nth(i) for i in (0, 1)]
    places = [net.bounding_box() for net in nets]
    one_below_the_other = places[0]["x"] == places[1]["x"]
    assert one_below_the_other == look[0].startswith("phone")
    see = "all => all.map((each) => each.toDataURL())"
    three = [net.locator("canvas").evaluate_all(see) for net in nets]
    assert min(len(set(maps)) for maps in three) > 50
    assert three[0] != three[1]
    assert [net.locator(".draw-line").count() for net in nets] == [13, 13]
    tab.click("button[aria-label='a 7']")
    tab.wait_for_function("document.getElementById('draw-said').textContent.includes(': 7 (')")
    tab.wait_for_timeout(1000)  # they follow once the hand rests
    seven = [net.locator("canvas").evaluate_all(see) for net in nets]
    assert all(old != new for old, new in zip(three, seven, strict=True))


def test_the_samples_are_ten_buttons_alike(visit):
    tab, _, _ = visit("draw.html")
    buttons = tab.locator("#draw-samples button")
    boxes = [buttons.nth(digit).bounding_box() for digit in range(buttons.count())]
    assert len(boxes) == 10
    assert len({(round(box["width"]), round(box["height"])) for box in boxes}) == 1


def draw_a_one(tab, touched):
    """A stroke up the middle of the canvas, with a finger or with the mouse."""
    tab.locator("#draw-canvas").scroll_into_view_if_needed()
    box = tab.locator("#draw-canvas").bounding_box()
    x = box["x"] + box["width"] / 2
    points = [{"x": x, "y": box["y"] + box["height"] * part / 100} for part in range(85, 14, -10)]
    if not touched:
        tab.mouse.move(**points[0])
        tab.mouse.down()
        for point in points:
            tab.mouse.move(**point)
        tab.mouse.up()
        return
    scrolled = tab.evaluate("window.scrollY")
    finger = tab.context.new_cdp_session(tab)  # Playwright's own can only tap
    for kind, point in (("Start", points[0]), *(("Move", point) for point in points)):
        touch = {"type": f"touch{kind}", "touchPoints": [point]}
        finger.send("Input.dispatchTouchEvent", touch)
    tab.wait_for_timeout(200)  # lifted at once it would fling, and the tap after it only end that
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert tab.evaluate("window.scrollY") == scrolled


def test_a_digit_is_drawn_moved_and_cleared(visit, look):
    tab, said, _ = visit("draw.html")
    touched = "has_touch" in LOOKS[look[0]]
    press = tab.tap if touched else tab.click
    press("#draw-clear")
    tab.wait_for_function("document.getElementById('draw-said').textContent.startsWith('Nothing')")
    draw_a_one(tab, touched)
    tab.wait_for_function("document.getElementById('draw-said').textContent.includes(': 1 (')")
    press("button[aria-label='a 7']")
    tab.wait_for_function("document.getElementById('draw-said').textContent.includes(': 7 (')")
    before = tab.inner_text("#draw-table")
    tab.focus("#draw [data-move='0,1']")
    for _ in range(10):  # pixels: a sure answer stays at 100.0% over several
        tab.keyboard.press("Enter")
    tab.wait_for_function(
        "text => document.getElementById('draw-table').innerText !== text", arg=before
    )
    # The shifted answers follow once the hand rests: an empty canvas has none.
    differ = "document.getElementById('draw-shifts').innerText.includes('of 48 differ')"
    tab.wait_for_function(differ)
    press("#draw-clear")
    tab.wait_for_function(f"!{differ}")
    assert said == []


def test_the_calculator_is_loaded_where_it_stands_and_nowhere_else(visit):
    scripts = "[...document.scripts].map((each) => each.src).filter((url) => url)"
    for page, there in (("index.html", False), ("depthwise.html", True)):
        tab, _, _ = visit(page)
        found = tab.evaluate(scripts)
        assert any("draw.js" in url for url in found)
        assert any("calculator.js" in url for url in found) == there


@pytest.mark.parametrize("name", models.names())
def test_the_calculator_counts_a_net_as_measure_does(name, visit):
    tab, said, _ = visit("depthwise.html")
    tab.select_option("#calculator-net [name=preset]", name)
    rows = ledger.layers(name)
    expected = rows[["params", "macs"]][rows["params"] + rows["macs"] > 0].to_numpy().tolist()
    shown = tab.locator("#calculator-net-table tbody tr").all_inner_texts()
    counts = [[int(part.replace(",", "")) for part in row.split("\t")[-2:]] for row in shown]
    assert [pair for pair in counts[:-1] if any(pair)] == expected
    assert counts[-1] == rows[["params", "macs"]].sum().tolist()
    assert f"{counts[-1][0]:,} parameters" in tab.inner_text("#calculator-net-said")
    assert said == []


@pytest.mark.parametrize(
    ("inputs", "outputs", "size", "side", "bias", "norm"),
    [(16, 32, 3, 16, False, False), (1, 8, 3, 28, False, True), (5, 7, 5, 9, True, True)],
)
def test_the_calculator_counts_a_block_as_measure_does(
    inputs, outputs, size, side, bias, norm, visit
):
    tab, _, _ = visit("depthwise.html")
    given = {"inputs": inputs, "outputs": outputs, "size": size, "side": side}
    for name, value in given.items():
        tab.fill(f"#calculator-block [name={name}]", str(value))
    for name, wanted in (("bias", bias), ("norm", norm)):
        tab.set_checked(f"#calculator-block [name={name}]", wanted)
    after = [nn.BatchNorm2d(outputs)] if norm else []
    around = {"bias": bias, "padding": size // 2}
    wise = nn.Conv2d(inputs, inputs, size, groups=inputs, **around)
    point = nn.Conv2d(inputs, outputs, 1, bias=bias)
    dense = nn.Sequential(nn.Conv2d(inputs, outputs, size, **around), *after)
    parts = dense, wise, point, nn.Sequential(wise, point, *after)
    shown = tab.locator("#calculator-block-table tbody tr").all_inner_texts()
    for row, part in zip(shown, parts, strict=True):
        params, macs = (int(text.replace(",", "")) for text in row.split("\t")[1:3])
        assert params == measure.count_parameters(part)
        assert macs == measure.macs(part, (inputs, side, side))


def test_the_calculator_is_used_by_keyboard_and_says_what_it_cannot_read(visit):
    tab, said, _ = visit("depthwise.html")
    tab.focus("#calculator-block [name=outputs]")
    before = tab.inner_text("#calculator-block-table")
    tab.keyboard.press("ArrowUp")
    assert tab.inner_text("#calculator-block-table") != before
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.name") == "size"
    tab.fill("#calculator-block [name=size]", "4")
    assert "odd" in tab.inner_text("#calculator-block-said")
    assert tab.get_attribute("#calculator-block [name=size]", "aria-invalid") == "true"
    tab.get_by_label("Layers").fill("8 Q16 GAP 10")
    assert "Cannot read Q16" in tab.inner_text("#calculator-net-said")
    tab.get_by_label("Layers").fill("8 DW16 GAP 10")
    assert "parameters" in tab.inner_text("#calculator-net-said")
    assert_fits(tab)
    assert said == []
