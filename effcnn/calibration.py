"""Is a net as often right as it is sure? From stored answers, with NumPy alone."""

import numpy as np
import pandas as pd

from effcnn.results import Run

BINS = 15  # of equal width, as Guo et al. 2017, arXiv:1706.04599
LEAST = 30  # answers that a bin of the diagram must hold


def sureness(run: Run) -> float:
    """The mean confidence of the answers to the test images, in percent."""
    return 100 * float(run.predictions()["confidence"].astype(float).mean())


def expected_error(run: Run, bins: int = BINS) -> float:
    """The expected calibration error of a run's answers, in percentage points.

    The mean distance between accuracy and confidence over the bins, weighted by their answers.
    Source: Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599.
    """
    table = _binned([run], bins)
    share = table["answers"] / table["answers"].sum()
    return float((share * (table["accuracy"] - table["confidence"]).abs()).sum())


def reliability(runs: list[Run], bins: int = BINS, least: int = LEAST) -> pd.DataFrame:
    """The answers of some runs, together, by confidence.

    Returns: one row per bin that holds `least` answers: `answers`, `confidence` and `accuracy`
        (means, in percent).
    """
    table = _binned(runs, bins)
    return table[table["answers"] >= least]


def _binned(runs: list[Run], bins: int) -> pd.DataFrame:
    found = [run.predictions() for run in runs]
    sure = np.concatenate([each["confidence"].astype(float) for each in found])
    right = np.concatenate([each["answer"] == each["label"] for each in found])
    # A confidence on an edge belongs to the bin below, as in the reference code.
    places = np.ceil(sure * bins).astype(int).clip(1, bins)
    table = pd.DataFrame({"bin": places, "confidence": 100 * sure, "accuracy": 100.0 * right})
    grouped = table.groupby("bin").agg(
        answers=("accuracy", "size"),
        confidence=("confidence", "mean"),
        accuracy=("accuracy", "mean"),
    )
    return grouped.reset_index(drop=True)
