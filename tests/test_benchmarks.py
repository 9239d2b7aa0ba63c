"""What the benchmarks have stored, and what the README says of it."""

import json
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SPEED = json.loads((ROOT / "benchmarks" / "training.json").read_text(encoding="utf-8"))
NETS = SPEED["nets"]


def plain(found):
    return max(one["median"] for name, one in found.items() if name.startswith("plain"))


@pytest.mark.parametrize("net", NETS)
def test_medians_and_ratios_are_of_the_turns(net):
    for name, one in NETS[net].items():
        assert one["median"] == statistics.median(one["turns"])
        assert len(one["turns"]) >= 3 or name == "whole sweep"
        assert one["ratio"] == pytest.approx(one["median"] / plain(NETS[net]))


@pytest.mark.parametrize("net", NETS)
def test_the_readme_gives_what_was_measured(net):
    loop, side, sweep = (
        f"{NETS[net][name]['median']:,.0f} ({NETS[net][name]['ratio']:.1f})"
        for name in ("one run", "side by side baseline, compiled", "whole sweep")
    )
    row = f"| `{net}` | {plain(NETS[net]):,.0f} | {loop} | {side} | {sweep} |"
    assert row in (ROOT / "README.md").read_text(encoding="utf-8")
