"""Checks of the decks in a real browser, after `make slides`:

pip install -c constraints.txt -e ".[site]"
python -m pytest tests/check_slides.py
"""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "_slides"
DECKS = sorted(path.stem for path in FOLDER.glob("*.html") if path.stem != "index")
SMALLEST = 16  # CSS pixels of a slide 720 high
# Of the slide that is shown: what a viewer in the last row would complain about.
LOOK = """() => {
  const slide = Reveal.getCurrentSlide(), frame = slide.querySelector('.slide');
  const body = frame.querySelector('.body'), outer = frame.getBoundingClientRect();
  const boxes = [...frame.querySelectorAll('h1, h2, .body > *, footer')]
    .map((each) => each.getBoundingClientRect());
  return {
    id: slide.id,
    kind: frame.className,
    heading: frame.querySelector('h1, h2').innerText.trim(),
    over: Math.max(body.scrollHeight - body.clientHeight, body.scrollWidth - body.clientWidth),
    outside: boxes.some((box) => box.left < outer.left - 1 || box.right > outer.right + 1
      || box.top < outer.top - 1 || box.bottom > outer.bottom + 1),
    size: parseFloat(getComputedStyle(body).fontSize),
    images: [...frame.querySelectorAll('img')].every((image) => image.naturalWidth > 0),
    tex: /\\\\[(\\[]/.test(frame.innerText),
    notes: slide.querySelector('aside.notes') !== null,
  };
}"""


@pytest.fixture
def visit(browser):
    """Open a page in a window; returns it with what it said and asked for."""
    contexts = []

    def open_page(name, width=1280, height=720, scheme="light"):
        viewport = {"width": width, "height": height}
        contexts.append(browser.new_context(viewport=viewport, color_scheme=scheme))
        tab, said, asked = contexts[-1].new_page(), [], []
        tab.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto((FOLDER / f"{name}.html").as_uri())
        if name != "index":
            tab.wait_for_function("window.Reveal && Reveal.isReady()")
        return tab, said, asked

    yield open_page
    for context in contexts:
        context.close()


def violations(tab):
    found = Axe().run(tab).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found]


def test_there_are_decks():
    assert DECKS


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", DECKS)
def test_every_slide_fits_and_is_accessible(name, scheme, visit):
    tab, said, asked = visit(name, scheme=scheme)
    seen, kinds, bad = [], {}, []
    for _ in range(tab.evaluate("Reveal.getTotalSlides()")):
        slide = tab.evaluate(LOOK)
        seen.append(slide["id"])
        kinds.setdefault(slide["kind"], slide["id"])
        good = slide["heading"] and slide["images"] and slide["notes"] and not slide["tex"]
        if slide["over"] > 1 or slide["outside"] or slide["size"] < SMALLEST or not good:
            bad.append(slide)
        tab.keyboard.press("ArrowRight")
    assert bad == []
    assert len(set(seen)) == len(seen)  # one key goes through all of them
    assert tab.evaluate("Reveal.isLastSlide()")
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert said == []
    for each in kinds.values():  # the slides of one kind are made of the same elements
        tab.evaluate("id => { location.hash = `/${id}` }", each)
        tab.wait_for_function("id => Reveal.getCurrentSlide().id === id", arg=each)
        assert violations(tab) == [], each


@pytest.mark.parametrize("name", [*DECKS, "index"])
def test_it_can_be_read_on_a_phone(name, visit):
    tab, said, _ = visit(name, width=390, height=800)
    assert tab.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert said == []


def test_the_index_leads_to_every_deck(visit):
    tab, said, _ = visit("index")
    links = tab.eval_on_selector_all("a", "all => all.map((a) => a.getAttribute('href'))")
    assert {f"{name}.html" for name in DECKS} <= set(links)
    assert [link for link in links if not (FOLDER / link.partition("#")[0]).is_file()] == []
    assert said == []
    assert violations(tab) == []


def test_a_link_leads_to_a_slide_and_s_opens_its_notes(visit):
    tab, said, _ = visit(DECKS[0])
    tab.click("#start li a")
    tab.wait_for_function("Reveal.getCurrentSlide().id !== 'start'")
    said_there = tab.inner_text("section.present section.present .slide p:not(.over)")
    with tab.expect_popup() as opened:
        tab.keyboard.press("s")
    notes = opened.value.locator(".speaker-controls-notes .value")
    notes.wait_for()
    assert said_there[:40] in notes.inner_text()
    assert said == []


@pytest.mark.parametrize("name", DECKS)
def test_the_pdf_has_every_slide_and_no_path_of_this_machine(name, visit):
    content = (FOLDER / f"{name}.pdf").read_bytes()
    tab, _, _ = visit(name)
    pages = re.findall(rb"/Type\s*/Page\b", content)
    assert len(pages) == tab.evaluate("Reveal.getTotalSlides()")
    assert b"/StructTreeRoot" in content  # a screen reader can read it
    assert b"file:" not in content
