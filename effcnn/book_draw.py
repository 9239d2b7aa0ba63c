"""Sphinx extension: the directive `draw-a-digit`, two trained nets that run in the page itself.

    ```{draw-a-digit} table-4/mnist-baseline table-4/mnist-bp
    ```

The weights come from the cells' runs, and ten digits of the embedded sample come with them. The
page needs no server and no network; `book/_static/draw.js` does the rest.
"""

import json
from dataclasses import replace
from pathlib import Path

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from effcnn import analyses, chapter, results
from effcnn.errors import UserError

LOG = logging.getLogger(__name__)
TITLES = ("max-pooling", "BlurPool")
REACH = 3  # pixels that the page moves a digit by, as in draw.js


class DrawADigit(SphinxDirective):
    """Two cells: the net with plain pooling, and the one with BlurPool."""

    required_arguments = 2

    def run(self):
        try:
            root = results.published() or Path("results")
            runs = [analyses.with_weights(results.cell(name, root)) for name in self.arguments]
        except UserError as error:
            LOG.warning("cannot draw: %s", error, location=self.get_location())
            return []
        for run in runs:
            self.env.note_dependency(str(run.folder / "run.json"))
        frame = Path(self.env.srcdir, "_static", "draw.html")
        return [nodes.raw("", html(runs, frame), format="html")]


def html(runs: list[results.Run], frame: Path) -> str:
    """The page's frame, and the nets and digits as JSON in it."""
    import effcnn
    from effcnn import export
    from effcnn.data import Split, load

    nets = [
        {
            "title": title,
            "origin": chapter.origin([run]),
            "mean": run.record["normalisation"]["mean"][0],
            "std": run.record["normalisation"]["std"][0],
            "layers": export.layers(effcnn.load(run)),
        }
        for title, run in zip(TITLES, runs, strict=True)
    ]
    content = load("mnist-sample")
    test = content.test
    first = [int((test.labels == digit).nonzero()[0]) for digit in range(10)]
    digits = Split(test.images[first], test.labels[first])
    # Most digits keep their answer at every shift: the page opens with the one that keeps it least.
    opening = int(sum(others(run, digits, content) for run in runs).argmax())
    samples = digits.images.flatten(1).tolist()
    # "</" would end the script element that the data stand in.
    data = json.dumps({"nets": nets, "samples": samples, "opening": opening}).replace("</", "<\\/")
    script = f'<script type="application/json" id="draw-data">{data}</script>'
    return frame.read_text(encoding="utf-8") + script


def others(run: results.Run, digits, content):
    """At how many shifts the net answers otherwise than without, (N,) for digits (N, 1, H, W)."""
    from torch.nn.functional import pad

    from effcnn import runs
    from effcnn.data import Split
    from effcnn.train import evaluate

    content = replace(content, **run.record["normalisation"])
    model, side = runs.load(run), digits.images.shape[-1]
    black = pad(digits.images, (REACH,) * 4)  # comes in where the digit has left
    views = [
        black[..., down : down + side, right : right + side]
        for down in range(2 * REACH + 1)
        for right in range(2 * REACH + 1)
    ]
    answers = [evaluate(model, Split(view, digits.labels), content)["answer"] for view in views]
    return sum(answer != answers[len(answers) // 2] for answer in answers)


def setup(app) -> dict:
    app.add_directive("draw-a-digit", DrawADigit)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
