"""How long the book's pages take to run again, per profile, on this machine.

    python benchmarks/pages.py                      # all pages: some 15 minutes
    python benchmarks/pages.py counting heads       # these alone

Seconds from the start of papermill to its end, into `pages.json`: `published` with the runs stored
here, `quick` with what it trains itself. `full` is not measured: it trains the missing runs.
"""

import argparse
import json
import tempfile
from pathlib import Path

from training import machine

from effcnn import book

HERE = Path(__file__).parent
OUTPUT = HERE / "pages.json"
MEASURED = ("published", "quick")


def seconds(source: Path, profile: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, source.name)
        book.run_notebook(source, made, {"profile": profile})
        return json.loads(made.read_text(encoding="utf-8"))["metadata"]["effcnn"]["seconds"]


def main() -> None:
    known = sorted(path.stem for path in (HERE.parent / "notebooks").glob("*.ipynb"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", metavar="page", help="default: all")
    chosen = parser.parse_args().pages or known
    if unknown := sorted(set(chosen) - set(known)):
        parser.error(f"no page {unknown[0]}; choose from {', '.join(known)}")
    result = {"pages": {}}
    if OUTPUT.is_file():
        result = json.loads(OUTPUT.read_text(encoding="utf-8"))
    result["machine"] = machine(1)
    result["pages"] = {name: took for name, took in result["pages"].items() if name in known}
    for number, name in enumerate(chosen, 1):
        source = HERE.parent / "notebooks" / f"{name}.ipynb"
        took = {profile: seconds(source, profile) for profile in MEASURED}
        shown = ", ".join(f"{profile} {value:.0f} s" for profile, value in took.items())
        print(f"{number}/{len(chosen)} {name}: {shown}", flush=True)
        result["pages"] = dict(sorted({**result["pages"], name: took}.items()))
        OUTPUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
