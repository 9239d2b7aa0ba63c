"""Decks of slides, one per part of the book, made from its rendered pages."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from effcnn import browser, slides
from effcnn.cells import need_checkout
from effcnn.errors import UserError

OUTPUT = "_slides"
MADE = ".decks"  # marks a folder that `make` may replace
PRINTABLE = "Reveal.isReady() && document.querySelectorAll('.pdf-page').length > 0"
# Copied as they are, from the checkout's slides/ and from the site.
OURS = ("reveal", "slides.css", "slides.js")
OF_THE_SITE = {"_static/mathjax": "mathjax", "_static/pygments.css": "pygments.css"}


@dataclass
class Page:
    """A page of the book: its name in `_toc.yml`, and its slides."""

    name: str
    slides: list[slides.Slide]


@dataclass
class Deck:
    """A part of the book: its caption, the name of the deck's files, and its pages."""

    part: str
    name: str
    pages: list[Page]

    @property
    def count(self) -> int:
        """Slides, with the title."""
        return 1 + sum(len(page.slides) for page in self.pages)


def make(output: Path | None = None, *, pdf: bool = False) -> Path:
    """Write a deck for each part of the book that has notebooks, and a page that lists them.

    Args:
        output: a folder that is new, empty, or holds decks, which are replaced. Default: _slides/
            in the checkout.
        pdf: each deck as PDF, too. It needs Chromium.

    Returns: the page to open.
    Raises: UserError outside a checkout, where the book is not built or is older than its
        sources, for a folder with other things, and without Chromium (after the HTML is written).
    """
    root = need_checkout()
    output = root / OUTPUT if output is None else output.resolve()
    made = read(root, output)
    _clear(output)
    write(made, root, output)
    for deck in made if pdf else []:
        print(f"{deck.name}.pdf", flush=True)
        address = (output / f"{deck.name}.html").as_uri()
        browser.print_pdf(f"{address}?print-pdf", output / f"{deck.name}.pdf", PRINTABLE)
    if pdf:
        _list(made, root, output, pdf=True)
    return output / "index.html"


def read(root: Path, output: Path) -> list[Deck]:
    """The decks of the book in `root`, with links as they are seen from `output`."""
    import yaml

    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    book, decks = _way(root, output), []
    for part in toc["parts"]:
        names = list(_names(part["chapters"]))
        if any((root / "notebooks" / f"{name}.ipynb").is_file() for name in names):
            texts = {name: _rendered(root, name) for name in names}
            pages = [Page(n, slides.pick(text, f"{n}.html", book)) for n, text in texts.items()]
            slug = re.sub(r"\W+", "-", part["caption"].lower()).strip("-")
            decks.append(Deck(part["caption"], slug, pages))
    return decks


def write(decks: list[Deck], root: Path, output: Path) -> None:
    """The decks as HTML, the page that lists them, and all that they need."""
    site = root / "_build" / "html"
    output.mkdir(parents=True)
    (output / MADE).touch()
    for name in OURS:
        _copy(root / "slides" / name, output / name)
    for name, own in OF_THE_SITE.items():
        _copy(site / name, output / own)
    for deck in decks:
        print(f"{deck.name}.html: {deck.count} slides", flush=True)
        text = _filled(root, "deck.html", deck=deck)
        for image in sorted(set(re.findall(r'src="(images/[^"]+)"', text))):
            _copy(site / f"_{image}", output / image)
        (output / f"{deck.name}.html").write_text(text, encoding="utf-8")
    _list(decks, root, output, pdf=False)


def _list(decks: list[Deck], root: Path, output: Path, *, pdf: bool) -> None:
    """The page that lists the decks."""
    text = _filled(root, "index.html", decks=decks, book=_way(root, output), pdf=pdf)
    (output / "index.html").write_text(text, encoding="utf-8")


def _filled(root: Path, template: str, **values: object) -> str:
    """A template of slides/ with values, and with the book's own title and author."""
    import jinja2
    import yaml

    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    loader = jinja2.FileSystemLoader(root / "slides")
    templates = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    shown = {"title": config["title"], "author": config["author"]}
    return templates.get_template(template).render(**shown, **values)


def _names(entries: list[dict]):
    """The pages of a part, those below others included."""
    for entry in entries:
        if "file" in entry:
            yield entry["file"]
        yield from _names(entry.get("sections", []))


def _rendered(root: Path, name: str) -> str:
    """The page as the site has it, if it is no older than its source."""
    page = root / "_build" / "html" / f"{name}.html"
    sources = root / "notebooks" / f"{name}.ipynb", root / "book" / f"{name}.md"
    source = next((path for path in sources if path.is_file()), None)
    if not page.is_file():
        raise UserError(f"the book is not built: no {page}; run 'make book' first")
    if source and source.stat().st_mtime > page.stat().st_mtime:
        raise UserError(f"{page} is older than {source}; run 'make book' first")
    return page.read_text(encoding="utf-8")


def _way(root: Path, output: Path) -> str:
    """How a deck links to the book."""
    return Path(os.path.relpath(root / "_build" / "html", output)).as_posix() + "/"


def _clear(output: Path) -> None:
    """Remove the decks that are there, and nothing else."""
    if output.exists() and not output.is_dir():
        raise UserError(f"{output} is a file; name a folder")
    if output.is_dir() and any(output.iterdir()) and not (output / MADE).is_file():
        raise UserError(f"{output} holds other things; name a folder that is new or empty")
    if output.is_dir():
        shutil.rmtree(output)


def _copy(source: Path, target: Path) -> None:
    """A file or a folder."""
    target.parent.mkdir(exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
