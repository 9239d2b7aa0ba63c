"""The ledger of the nets: what each costs, beside what the paper prints."""

import pandas as pd

from effcnn import measure, models, paper


def frame(names: list[str] | None = None) -> pd.DataFrame:
    """One row per net (default: all nine).

    Columns: model; layers, as the paper's table writes them; params_paper (missing for the net
    without a printed count) and params; macs of one image; receptive_field, in pixels of the image
    per side, before the global pooling; activation_kib, the largest input plus output of a layer
    for one image in float32.
    """
    return pd.DataFrame([_row(name) for name in names or models.names()])


def layers(name: str) -> pd.DataFrame:
    """The layers of one net in order: name, kind, shape (C×H×W), params, macs, sees (pixels)."""
    rows = _measured(name)
    table = pd.DataFrame(rows).drop(columns="inputs")
    table["shape"] = ["×".join(map(str, row.shape)) for row in rows]
    return table.rename(columns={"receptive_field": "sees"})


def _measured(name: str) -> list[measure.Layer]:
    """The layers of a fresh net, as they run on one image."""
    group, _ = models.split(name)
    traits = models.FAMILIES[group]
    return measure.ledger(models.build(name), (traits.channels, traits.size, traits.size))


def _row(name: str) -> dict:
    group, short = models.split(name)
    rows = _measured(name)
    before_pooling = next(i for i, row in enumerate(rows) if row.kind == "AdaptiveAvgPool2d")
    return {
        "model": name,
        "layers": models.ARCHITECTURES[group][short],
        "params_paper": paper.PARAMETERS.get(name),
        "params": sum(row.params for row in rows),
        "macs": sum(row.macs for row in rows),
        "receptive_field": rows[before_pooling - 1].receptive_field,
        "activation_kib": measure.activation_bytes(rows) / 1024,
    }
