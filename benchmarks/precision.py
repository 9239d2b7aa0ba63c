"""Does bf16 cost accuracy? An equivalence test of the runs of sweeps/precision.toml.

    effcnn sweep sweeps/precision.toml --results results
    python benchmarks/precision.py

Two one-sided tests (TOST): the precisions are equivalent where the 90% interval of the difference
of their mean test accuracies lies within 0.15 points. Exits with 1 where it does not.
"""

import sys

from effcnn import results, stats

MARGIN = 0.15  # points


def main() -> int:
    bf16, fp32 = (
        results.accuracies(results.cell(f"precision/{name}")) for name in ("bf16", "fp32")
    )
    for name, values in (("bf16", bf16), ("fp32", fp32)):
        print(f"{name}: {stats.mean(values).text()} %, {len(values)} seeds")
    gap = stats.difference(bf16, fp32, level=0.9)
    same = stats.equivalent(bf16, fp32, MARGIN)
    print(f"bf16 - fp32: {gap.text('+')} points (90% interval), margin {MARGIN}")
    print("equivalent" if same else "not shown to be equivalent")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
