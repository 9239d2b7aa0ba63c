"""The whole book as a PDF: Sphinx's single page, made fit for paper, printed by Chromium.

On paper nothing can be unfolded, clicked or computed. So solutions stand open, code that is folded
away is left out, and an element with `data-print` becomes that sentence.
"""

from collections.abc import Iterator
from pathlib import Path

from effcnn import browser
from effcnn.errors import UserError

# MathJax and fonts are there.
READY = "async () => { await window.MathJax?.startup?.promise; return true }"
# Scripts that typeset; all others fold, copy, sort or compute.
SCRIPTS = ("mathjax", "MathJax")
GONE = "details.hide, .headerlink, .toggle-details, a.download, button.copybtn"


def need() -> None:
    """Tell before anything long begins what is missing. Raises `UserError`."""
    try:
        import pypdf  # noqa: F401
    except ImportError:
        raise UserError("pypdf is missing; install the tools for it: effcnn[site]") from None
    browser.need()


def make(page: Path, style: Path, output: Path) -> None:
    """Print Sphinx's single page.

    Args:
        page: `index.html` of the builder `singlehtml`; what is printed lies beside it.
        style: CSS for paper.
        output: the PDF.
    """
    source = page.read_text(encoding="utf-8")
    printed = page.with_name("print.html")
    numbers: dict[str, int] = {}
    for _ in range(2):  # where the chapters begin is known only once they are printed
        text = printable(source, style.read_text(encoding="utf-8"), numbers)
        printed.write_text(text, encoding="utf-8")
        browser.print_pdf(printed.as_uri(), output, READY)
        numbers = page_numbers(output)


def printable(source: str, style: str, numbers: dict[str, int]) -> str:
    """The article of a single page with title and contents, and nothing that needs a screen.

    Args:
        numbers: the pages on which the chapters begin, by their anchors; 0 where not known.
    """
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(source, "html.parser")
    article = soup.select_one("article")
    for script in soup.find_all("script"):
        if not any(word in f"{script.get('src')}{script.string}" for word in SCRIPTS):
            script.decompose()
    for gone in article.select(GONE):
        gone.decompose()
    for folded in article.select("details"):
        folded["open"] = ""
    for screen in article.select("[data-print]"):
        words = soup.new_tag("p", attrs={"class": "on-paper"})
        words.string = screen["data-print"]
        screen.replace_with(words)
    for link in article.select("a[href]"):
        _lead_inside(link)
    title = soup.select_one("title").get_text()
    author = soup.select_one(".component-author")
    lines = [f"<h1>{title}</h1>", f"<p>{author.get_text().strip() if author else ''}</p>"]
    front = [f'<header class="book-cover">{"".join(lines)}</header>', _contents(soup, numbers)]
    for anchor in article.select(".toctree-wrapper > span[id]"):
        # Before its chapter, and as an empty element, it would stand on the page before.
        heading = anchor.find_next_sibling("section").find(["h1", "h2"])
        heading["id"] = anchor.extract()["id"]
    soup.head.append(BeautifulSoup(f"<style>{style}</style>", "html.parser"))
    soup.html["data-theme"] = soup.html["data-mode"] = "light"
    soup.body.clear()
    soup.body["class"] = "book-print"
    soup.body.append(BeautifulSoup("".join(front), "html.parser"))
    soup.body.append(article)
    return str(soup)


def _lead_inside(link) -> None:
    """A link to this page loses its file; one to another file of the site is words alone."""
    file, _, anchor = link["href"].partition("#")
    if file in ("", "index.html"):
        link["href"] = f"#{anchor}"
    elif ":" not in file:
        link.unwrap()


def chapters(soup) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each part's title, and the anchor and title of each of its chapters, in their order."""
    captions = [caption.get_text() for caption in soup.select("nav.bd-docs-nav p.caption")]
    parts = soup.select("article .toctree-wrapper")
    for caption, part in zip(captions, parts, strict=True):
        anchors = part.find_all("span", id=True, recursive=False)
        yield (
            caption,
            [
                (span["id"], span.find_next_sibling("section").find(["h1", "h2"]).get_text())
                for span in anchors
            ],
        )


def _contents(soup, numbers: dict[str, int]) -> str:
    lines = []
    for caption, found in chapters(soup):
        lines.append(f"<h3>{caption}</h3><ul>")
        for anchor, title in found:
            text = f"<span>{title}</span><span>{numbers.get(anchor, 0)}</span>"
            lines.append(f'<li><a href="#{anchor}">{text}</a></li>')
        lines.append("</ul>")
    return f'<nav class="book-contents"><h2>Contents</h2>{"".join(lines)}</nav>'


def page_numbers(pdf: Path) -> dict[str, int]:
    """On which page, counted from 1, each anchor of a PDF stands that something links to."""
    from pypdf import PdfReader

    reader = PdfReader(pdf)
    return {
        name.removeprefix("/"): reader.get_destination_page_number(place) + 1
        for name, place in reader.named_destinations.items()
    }
