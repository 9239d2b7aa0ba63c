"""Sphinx extension: the directive `numbered`, a list of all figures or all tables of the book.

    ```{numbered} figure
    ```

By page, in the order of the book: the number, which leads there, and the caption's first sentence.
"""

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from effcnn.errors import unknown

LOG = logging.getLogger(__name__)
KINDS = {"figure": (nodes.figure, nodes.caption), "table": (nodes.table, nodes.title)}
# Where a sentence ends; "Fig. 5" and "e.g. this" go on.
END = re.compile(r"(?<=[.?!])(?<!e\.g\.)(?<!i\.e\.)\s+(?![a-z0-9])")


class numbered(nodes.General, nodes.Element):
    """Stands for the list until all pages are read and have their numbers."""


class Numbered(SphinxDirective):
    """One argument: figure or table."""

    required_arguments = 1

    def run(self):
        kind = self.arguments[0]
        if kind not in KINDS:
            error = unknown("kind of numbered thing", kind, KINDS)
            LOG.warning("%s", error, location=self.get_location())
            return []
        return [numbered(kind=kind)]


class ListNumbered(SphinxPostTransform):
    """Put the list in; first, so that what a caption refers to or glues is still looked up."""

    default_priority = 1

    def run(self, **_):
        for place in list(self.document.findall(numbered)):
            pages = nodes.definition_list(classes=["numbered"])
            for page, numbers in self.env.toc_fignumbers.items():
                lines = [
                    nodes.list_item("", nodes.paragraph("", "", *self.line(page, place, *found)))
                    for found in captions(self.env.get_doctree(page), place["kind"])
                    if found[0] in numbers.get(place["kind"], {})
                ]
                if lines:
                    title = nodes.term("", "", self.link(page, "", self.env.titles[page].astext()))
                    text = nodes.definition("", nodes.bullet_list("", *lines))
                    pages += nodes.definition_list_item("", title, text)
            for reference in pages.findall(pending_xref):
                reference["refdoc"] = self.env.docname  # from where it leads, now
            place.replace_self(pages)
            if pages.next_node(nodes.math):  # it came too late for Sphinx to see it
                self.env.get_domain("math").data["has_equations"][self.env.docname] = True

    def line(self, page: str, place: nodes.Node, anchor: str, caption: list) -> list[nodes.Node]:
        kind = place["kind"]
        number = ".".join(map(str, self.env.toc_fignumbers[page][kind][anchor]))
        label = self.config.numfig_format[kind] % number
        return [self.link(page, f"#{anchor}", label), nodes.Text(": "), *caption]

    def link(self, page: str, anchor: str, text: str) -> nodes.reference:
        uri = self.app.builder.get_relative_uri(self.env.docname, page) + anchor
        return nodes.reference("", text, refuri=uri, internal=True)


def captions(tree: nodes.document, kind: str) -> Iterator[tuple[str, list[nodes.Node]]]:
    """The id and the caption's first sentence of each figure or table that has one."""
    outer, inner = KINDS[kind]
    for node in tree.findall(outer):
        found = next((child for child in node.children if isinstance(child, inner)), None)
        if found is not None and node["ids"]:
            yield node["ids"][0], first_sentence(found)


def first_sentence(caption: nodes.Element) -> list[nodes.Node]:
    """Copies of what stands in a caption up to the end of its first sentence."""
    kept = []
    for child in caption.children:
        if not isinstance(child, nodes.Text):
            kept.append(child.deepcopy())
            continue
        text, *rest = END.split(child.astext(), maxsplit=1)
        kept.append(nodes.Text(text))
        if rest:
            break
    return kept


def setup(app) -> dict:
    app.add_node(numbered)
    app.add_directive("numbered", Numbered)
    app.add_post_transform(ListNumbered)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
