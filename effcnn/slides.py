"""The slides of a rendered page: what of it is shown, and what goes into the speaker's notes.

A figure, a table, an equation, a piece of code, a list and an exercise are a slide each, under the
heading of their section. Of the prose beside it the slide has the first sentences of a paragraph,
and the notes have all of it. Nothing needs a mark. What the page folds is left out, and so is a
cell with the tag `no-slide`, or what stands in a `:::{container} no-slide`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bs4 import BeautifulSoup, Tag

from effcnn import slide_parts as parts
from effcnn.errors import UserError

# Sections that a lecture leaves out, and those that teach code.
LEFT_OUT = ("Prerequisites", "References", "Further reading")
TEACHING = ("The problem", "The idea", "Idea", "The code", "Code")
# What the page folds, what only works there, what an author has marked, and of a solution all but
# its text and its code.
UNSEEN = (
    "a.headerlink, .section-number, script, details.hide, .draw, .no-slide, .tag_no-slide, "
    ".tag_parameters, .tag_injected-parameters, "
    ".solution .tag_check, .solution .output:not(.stream)"
)
# What such a sentence speaks of comes next.
HERE = re.compile(r"\bhere (is|are)\b", re.IGNORECASE)
ANSWER = 420  # characters: the question and the answer at the head of a page
PARAGRAPHS, PROSE = 3, 360  # of a slide without anything else: at most, and characters


@dataclass
class Slide:
    """One slide. All but `kind` and `link` is HTML.

    Args:
        kind: title, text, list, figure, table, math, code, output (without its code) or exercise.
        link: its place in the book, seen from the deck.
        body: what is shown below the heading, from top to bottom.
        notes: the speaker's.
    """

    kind: str
    heading: str
    link: str
    body: list[str]
    notes: list[str] = field(default_factory=list)


@dataclass
class Block:
    """A part of a section: its kind, the element, and the pieces that are slides of their own."""

    kind: str
    element: Tag
    pieces: list[str] = field(default_factory=list)


def pick(text: str, page: str, book: str = "") -> list[Slide]:
    """The slides of a page of the book, the first one with its title.

    Args:
        text: the page as Sphinx has rendered it.
        page: its file, `heads.html`.
        book: the way from the deck to the book, `../_build/html/`, for links. Images are looked for
            beside the deck, in `images/`.

    Raises: UserError for a page without a title, and for an image without an alternative text or
        from elsewhere.
    """
    article = BeautifulSoup(text, "html.parser").select_one("article.bd-article")
    top = article and article.find("section")
    if not top or not top.find("h1", recursive=False):
        raise UserError(f"{page} is not a page of the book: it has no title")
    for each in article.select(UNSEEN):
        each.decompose()
    for each in article.select(".admonition section"):
        each.name = "div"  # a section within a slide would be one of reveal.js's
    for image in article.find_all("img"):
        if not described(image):
            raise UserError(f"{page}: the image {image['src']} has no alternative text")
        if not image["src"].startswith("_images/"):
            raise UserError(f"{page}: the image {image['src']} is not one of the book's own")
        image["src"] = image["src"].removeprefix("_")
    for link in article.find_all("a", href=True):
        if not urlsplit(link["href"]).scheme:
            here = book + page if link["href"].startswith("#") else book
            link["href"] = here + link["href"]
    return _section(top, book + page)


def described(image: Mapping[str, str]) -> bool:
    """Whether an `img`, seen as its attributes, has an alternative text of its own.

    Where the author gives a figure none, docutils writes the image's address in its place.
    """
    text, address = (image.get("alt") or "").strip(), image.get("src", "")
    named = text in (address, address.rpartition("/")[2]) or text.startswith("_images/")
    return bool(text) and not named


def _section(section: Tag, page: str, taught: bool = False) -> list[Slide]:
    """The slides of a section and of those in it."""
    title = section.find(["h1", "h2", "h3", "h4"], recursive=False)
    heading = title.get_text().strip()
    if heading in LEFT_OUT:
        return []
    taught = taught or heading in TEACHING
    blocks, nested = [], []
    for element in section.find_all(recursive=False):
        if element.name == "section":
            nested += _section(element, page, taught)
        elif element is not title:
            blocks += _blocks(element, taught)
    made = Slide("title", title.decode_contents(), page, [])
    if title.name == "h1":
        prose = [block.element for block in blocks if block.kind == "prose"]
        made.body = [parts.sentences(each, ANSWER if each is prose[0] else 0) for each in prose[:2]]
        made.notes = [parts.html(each) for each in prose]
        return [made, *nested]
    made.link = f"{page}#{section['id']}"
    return _slides(blocks, made) + nested


def _blocks(element: Tag, taught: bool) -> list[Block]:
    """What a child of a section holds."""
    classes = element.get("class", [])
    if element.name == "p":
        return [Block("prose", element)]
    if element.name == "figure":
        return [Block("figure", element, [parts.figure(element)])]
    if element.name in ("ul", "ol"):
        return [Block("list", element, parts.lists(element))]
    if "cell" in classes:
        return [Block(kind, element, got) for kind, got in parts.cell(element, taught)]
    for kind in ("math", "exercise", "solution"):
        if kind in classes:
            return [Block(kind, element, [parts.html(element)])]
    if element.name == "table" or "pst-scrollable-table-container" in classes:
        return [Block("table", element, parts.tables(element))]
    return [Block("unseen", element)]


def _slides(blocks: list[Block], like: Slide) -> list[Slide]:
    """The slides of a section's blocks, with the heading and link of `like`."""
    made, before, rest = [], [], list(blocks)  # before: paragraphs that no slide has yet
    joined = False  # whether the last of them leads to the block, and not to one that is unseen
    while rest:
        block = rest.pop(0)
        if block.kind == "prose":
            before.append(block.element)
        elif block.kind == "solution" and made:
            made[-1].notes += block.pieces
        elif block.kind not in ("solution", "unseen"):
            after = rest.pop(0).element if _comments(block, rest, bool(before)) else None
            if len(before) > 2:
                made += _prose(before[:-1], like)
                before = before[-1:]
            made += _shown(block, before, after, joined, like)
            before = []
        joined = block.kind == "prose"
    return made + _prose(before, like)


def _comments(block: Block, rest: list[Block], led: bool) -> bool:
    """Whether the next block is a paragraph on this one, and not one that leads to the next.

    Between two figures it is taken for what leads to the second, if one has `led` to the first.
    """
    if block.kind in ("list", "exercise") or not rest or rest[0].kind != "prose":
        return False
    paragraph, ahead = rest[0].element, rest[1:2]
    if paragraph.get_text()[:1].islower():  # it goes on with the sentence that an equation ends
        return True
    code = [one.kind in ("code", "output") for one in (block, *ahead)]
    if parts.leads(paragraph) or HERE.search(paragraph.get_text()) or code == [True, True]:
        return False
    if getattr(next(paragraph.children, None), "name", None) == "strong":  # a topic of its own
        return False
    if led and all(one.kind in ("figure", "table") for one in (block, *ahead)) and ahead:
        return False
    links = {link["href"].partition("#")[2] for link in paragraph.find_all("a", href=True)}
    names = {each.get("id") for b in ahead for each in [b.element, *b.element.find_all(id=True)]}
    return not links & names


def _shown(
    block: Block, before: list[Tag], after: Tag | None, joined: bool, like: Slide
) -> list[Slide]:
    """A slide for each piece of a block, with a sentence over it, and maybe one below."""
    above = (parts.lead if joined else parts.sentences)(before[-1]) if before else ""
    below = parts.sentences(after) if after else ""
    if block.kind in ("figure", "table"):  # what it shows stands over it, as its headline
        above, below = below or above, ""
    elif block.kind == "exercise":
        above = ""
    elif block.kind == "output" and not above + below:
        return []  # numbers of something that nobody has named
    spoken = [parts.html(each) for each in (*before, after, _uncut(block)) if each]
    bodies = [[above, piece] for piece in block.pieces]
    bodies[-1].append(below)
    return [
        Slide(block.kind, like.heading, like.link, list(filter(None, body)), list(spoken))
        for body in bodies
    ]


def _uncut(block: Block) -> Tag | None:
    """What the slide may show a part of only: the caption, or the list."""
    if block.kind == "list":
        return block.element
    return block.element.find(["figcaption", "caption"])


def _prose(paragraphs: list[Tag], like: Slide) -> list[Slide]:
    """Slides of first sentences; a paragraph that leads to something unseen is only spoken."""
    made = []
    for start in range(0, len(paragraphs), PARAGRAPHS):
        chosen = paragraphs[start : start + PARAGRAPHS]
        limit = max(parts.SENTENCES, PROSE // len(chosen))
        body = list(filter(None, (parts.sentences(each, limit) for each in chosen)))
        if body:
            notes = [parts.html(each) for each in chosen]
            made.append(Slide("text", like.heading, like.link, body, notes))
    return made
