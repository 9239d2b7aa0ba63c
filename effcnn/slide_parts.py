"""The parts of a rendered page, cut to what fits on a slide. All take and return HTML."""

import re
from copy import copy

from bs4 import NavigableString, Tag

# What is read from the last row. Longer tables and lists go on on the next slide; longer code is
# left out, for half a function explains nothing.
SENTENCES = 170  # characters of a paragraph or caption; one sentence always stays
CODE, SUMS, PRINTED = 22, 12, 3  # lines: of code that is the matter, of other code, of output alone
ROWS, CELLS = 9, 800  # of a table: rows, and characters
POINTS, WORDS = 6, 620  # of a list: points, and characters

# Not after "et al." and the like: there no sentence ends.
ENDED = re.compile(r"(?<=[.?!])(?<!\bal\.)(?<!\bvs\.)(?<!\bsec\.)\s+(?=[^a-z]|$)")


def html(element: Tag) -> str:
    """The element as it is, but for its ids: the same one may be on a slide and in the notes."""
    element = copy(element)
    for each in [element, *element.find_all(id=True)]:
        each.attrs.pop("id", None)
    return str(element)


def sentences(paragraph: Tag, limit: int = SENTENCES) -> str:
    """The first sentences that have at most `limit` characters together, one at least.

    One that the next block goes on with is left out, if it is the only one too.
    """
    return html(cut) if (cut := _cut(paragraph, limit, whole=True)).contents else ""


def lead(paragraph: Tag) -> str:
    """The sentences that lead to what comes next: the last ones if it goes on with them."""
    return html(_cut(paragraph, last=leads(paragraph)))


def leads(paragraph: Tag) -> bool:
    """Whether it ends in the middle of a sentence, for the next block goes on with it."""
    return not re.search(r"[.?!][)”\"]?$", paragraph.get_text().strip())


def figure(element: Tag) -> str:
    """A figure whose caption is cut."""
    element = copy(element)
    for text in element.select(".caption-text"):
        text.replace_with(_cut(text))
    return html(element)


def tables(element: Tag) -> list[str]:
    """A table, in pieces that fit on a slide; each has the caption and the head."""
    found = element if element.name == "table" else element.find("table")
    rows = found.select("tbody > tr")
    pieces = []
    for chosen in _filled(rows, ROWS, CELLS):
        piece = copy(found)
        for row, own in zip(rows, piece.select("tbody > tr"), strict=True):
            if not any(row is each for each in chosen):
                own.decompose()
        pieces.append(figure(piece))
    return pieces


def lists(element: Tag) -> list[str]:
    """A list, in pieces that fit on a slide, whose points are cut and go on counting."""
    points, pieces, count = [copy(p) for p in element.find_all("li", recursive=False)], [], 1
    for point in points:
        for text in point.find_all("p", recursive=False):
            text.replace_with(_cut(text))
    for chosen in _filled(points, POINTS, WORDS):
        piece = copy(element)
        piece.clear()
        piece.extend(chosen)
        if element.name == "ol":
            piece["start"] = str(count)
        count += len(chosen)
        pieces.append(html(piece))
    return pieces


def cell(element: Tag, taught: bool) -> list[tuple[str, list[str]]]:
    """What a code cell shows, as kinds and pieces: table, figure, code, and output without code.

    Args:
        taught: whether its section teaches code. Elsewhere code computes what the page shows: it
            is left out unless it is short and prints its answer.
    """
    shown: list[tuple[str, list[str]]] = []
    printed: list[Tag] = []
    outputs = element.select(".cell_output > *")
    for output in outputs:
        if output.find("table"):
            shown.append(("table", tables(output)))
        elif output.find("img"):
            shown.append(("figure", [html(output)]))
        elif output.find("pre"):
            printed.append(output)
    # A piece of the package is shown without the call that fetched it.
    fetched = any("highlight-python" in output.get("class", []) for output in outputs)
    code = [] if fetched or shown else element.select(".cell_input")
    most = CODE if taught or fetched else SUMS if printed else 0
    kind, kept = "code", code + printed
    if not (code or fetched) or _lines(kept) > most:
        kind, kept = "output", printed if PRINTED <= _lines(printed) <= CODE else []
    return [(kind, ["".join(map(html, kept))]), *shown] if kept else shown


def _lines(texts: list[Tag]) -> int:
    return sum(text.get_text().strip("\n").count("\n") + 1 for text in texts)


def _filled(items: list[Tag], number: int, characters: int) -> list[list[Tag]]:
    """The items in even groups, as few as keep to both limits."""
    length = sum(len(item.get_text(" ", strip=True)) for item in items)
    groups = max(-(-len(items) // number), -(-length // characters), 1)
    size = -(-len(items) // groups) or 1
    return [items[start : start + size] for start in range(0, len(items), size)]


def _cut(paragraph: Tag, limit: int = SENTENCES, *, last=False, whole=False) -> Tag:
    """A paragraph of its first or last sentences; with `whole`, of those that end in it."""
    ended: list[list] = [[]]
    for child in copy(paragraph).contents:
        pieces = [child]
        if isinstance(child, NavigableString):
            pieces = [NavigableString(piece) for piece in ENDED.split(child)]
        ended[-1].append(pieces[0])
        ended += [[piece] for piece in pieces[1:]]
    if whole and leads(paragraph):
        ended.pop()
    chosen: list[list] = []
    for sentence in reversed(ended) if last else ended:
        chosen.append(sentence)
        length = sum(len(p.get_text()) for s in chosen for p in s) + len(chosen) - 1  # with spaces
        if len(chosen) > 1 and length > limit:
            chosen.pop()
            break
    kept = copy(paragraph)
    kept.clear()
    for number, sentence in enumerate(reversed(chosen) if last else chosen):
        kept.extend([NavigableString(" "), *sentence] if number else sentence)
    return kept
