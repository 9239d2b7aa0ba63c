"""Sphinx extension: what the columns of a table hold, as classes for the style sheet.

`num` for a column of numbers: they stand to the right and do not break. `short` for one of words
that do not break either. `prose` for one with a sentence in it: on a phone it keeps a readable
width, and the table scrolls. The hyphen of CIFAR-10 does not break in a column's head.
"""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

from effcnn.chapter import numeric

SHORT, SENTENCE = 16, 25  # letters


class ColumnClasses(SphinxPostTransform):
    """Last, when what the cells glue or refer to stands in them."""

    default_priority = 900

    def run(self, **_):
        for group in self.document.findall(nodes.tgroup):
            for name in [n for h in group.findall(nodes.thead) for n in h.findall(nodes.Text)]:
                whole = name.replace("CIFAR-10", "CIFAR\N{NON-BREAKING HYPHEN}10")
                name.parent.replace(name, nodes.Text(whole))
            rows = [list(row.findall(nodes.entry)) for row in group.findall(nodes.row)]
            body = [list(r.findall(nodes.entry)) for b in group.findall(nodes.tbody) for r in b]
            wide = any({"morecols", "morerows"} & set(cell.attributes) for r in rows for cell in r)
            if not body or wide or len({len(row) for row in rows}) > 1:
                continue
            for column, cells in enumerate(zip(*body, strict=True)):
                if name := kind([text(cell) for cell in cells]):
                    for row in rows:
                        row[column]["classes"].append(name)


def kind(column: list[str]) -> str:
    """`num`, `short`, `prose` or nothing, for the texts of a column.

    >>> [kind(column) for column in (["1.2 ± 0.3", "–"], ["not resolved"], ["cutout, in previews"])]
    ['num', 'short', '']
    >>> kind(["It falls.", "It stays where it was, and nothing says why."])
    'prose'
    """
    if numeric(column):
        return "num"
    if max(map(len, column)) <= SHORT:
        return "short"
    return "prose" if any(" " in text and len(text) > SENTENCE for text in column) else ""


def text(cell: nodes.Element) -> str:
    """What a reader sees of a cell: of raw HTML its text."""
    parts = []
    for node in cell.findall(nodes.Text):
        raw = isinstance(node.parent, nodes.raw)
        parts.append(re.sub(r"<[^>]*>", "", node) if raw else node)
    return "".join(parts).replace("\N{NO-BREAK SPACE}", " ").strip()


def setup(app) -> dict:
    app.add_post_transform(ColumnClasses)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
