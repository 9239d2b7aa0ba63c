"""Calibration of stored answers, against hand-made ones and an independent formula."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from effcnn import calibration, results


@pytest.fixture
def run(record, tmp_path):
    def make(sure, right):
        n = len(sure)
        answers = {
            "confidence": np.array(sure, np.float16),
            "answer": np.where(right, 1, 0).astype(np.uint8),
            "label": np.ones(n, np.uint8),
        }
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        save_file(answers, folder / "predictions.safetensors")
        content = record(50.0)
        content["test"]["images"] = n
        return results.Run(folder, None, content)

    return make


def test_by_hand(run):
    one = run([1.0, 1.0, 0.5, 0.5], [1, 0, 1, 0])
    assert calibration.sureness(one) == 75
    # Bins of ten: at 100% sure 50% right, at 50% sure 50% right.
    assert calibration.expected_error(one, 10) == pytest.approx(25)


def test_against_a_loop_over_bins(run):
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.1, 1, 2000).astype(np.float16).astype(float)
    right = rng.uniform(size=2000) < sure**2
    total = 0.0
    for low in np.arange(15) / 15:
        inside = (sure > low) & (sure <= low + 1 / 15)
        if inside.any():
            total += inside.sum() / 2000 * abs(right[inside].mean() - sure[inside].mean())
    assert calibration.expected_error(run(sure, right)) == pytest.approx(100 * total, rel=1e-6)


def test_bins_with_few_answers_are_left_out(run):
    one = run([0.95] * 40 + [0.3] * 5, [1] * 40 + [0] * 5)
    table = calibration.reliability([one, one], 10, least=30)
    assert list(table["answers"]) == [80]
    assert list(table["accuracy"]) == [100]
    assert calibration.reliability([one, one], 10, least=10)["answers"].tolist() == [10, 80]
