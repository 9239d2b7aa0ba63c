"""What squeeze-and-excite has learnt: the mean gate of each channel, by class."""

import torch

from effcnn import runs
from effcnn.analyses import Show, rounded
from effcnn.data import Data, normalise
from effcnn.errors import UserError
from effcnn.results import Run
from effcnn.techniques.squeeze_excite import SqueezeExcite2d


def analyse(run: Run, content: Data, show: Show = iter) -> dict:
    """The gates of every block on the test images.

    Returns: by the name of the gated convolution `gates`, the mean gate per class (rows) and
        channel; `within`, per channel the standard deviation over the images of one class (mean
        of the classes), and `between`, that of the class means.
    Raises: UserError for a net without squeeze-and-excite.
    """
    model = runs.load(run)
    blocks = {name: m for name, m in model.named_modules() if isinstance(m, SqueezeExcite2d)}
    if not blocks:
        raise UserError(f"{run.folder} has no squeeze-and-excite; name a cell with se")
    seen: dict[str, list] = {name: [] for name in blocks}
    for name, block in blocks.items():
        # The gate is what the last layer gives, before the sigmoid.
        block.expand.register_forward_hook(
            lambda _, __, output, name=name: seen[name].append(output.sigmoid())
        )
    with torch.inference_mode():
        for images in show(content.test.images.split(1000)):
            model(normalise(images, content.mean, content.std))
    labels, result = content.test.labels, {}
    for name, parts in seen.items():
        gates = torch.cat(parts).double()  # (N, C)
        groups = [gates[labels == label] for label in labels.unique()]
        means = torch.stack([group.mean(0) for group in groups])
        within = torch.stack([group.std(0) for group in groups]).mean(0)
        result[name.removesuffix(".se")] = {
            "gates": rounded(means, 4),
            "within": rounded(within, 4),
            "between": rounded(means.std(0), 4),
        }
    return {"images": len(labels), "blocks": result}
