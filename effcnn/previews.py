"""The cells of a table, or their previews for as long as the table still trains."""

from collections.abc import Hashable, Mapping, Sequence

from effcnn import profiles
from effcnn.results import Run


def choose(
    wanted: Mapping[Hashable, Sequence[tuple[str, str]]], profile: str = "published"
) -> dict[Hashable, list[str]]:
    """The cells to show, by group: of the tables where all runs of a group are there.

    Otherwise the whole group comes from the previews: two recipes must not meet in a difference.

    Args:
        wanted: by any name, pairs of a table's cell and of its preview.
    """
    table = [cell for group in wanted.values() for cell, _ in group]
    there = set(profiles.trained(table, profile))
    return {
        name: [cell for cell, _ in group]
        if all(cell in there for cell, _ in group)
        else [preview for _, preview in group]
        for name, group in wanted.items()
    }


def is_preview(cell: str) -> bool:
    """Whether a cell is of a sweep of previews, `preview/mnist-25k` for one."""
    return cell.startswith("preview")


def shown(cell: str, runs: list[Run]) -> str:
    """The cell for a column of a table, which says if it is no more than a preview."""
    if not is_preview(cell):
        return f"`{cell}`"
    count = "one run" if len(runs) == 1 else f"{len(runs)} runs"
    return f"`{cell}` (preview, {count})"


def pending(cells: Sequence[str], rows: str) -> str:
    """A sentence on how many of the chosen cells are previews, as Markdown; empty if none is."""
    count = sum(map(is_preview, cells))
    if not count:
        return ""
    if count > 1:
        many = f"All {rows}" if count == len(cells) else f"{count} of {len(cells)} {rows}"
        said = f"{many} are still previews"
    else:
        one = "The row" if len(cells) == 1 else f"One of {len(cells)} {rows}"
        said = f"{one} is still a preview"
    return (
        f"**{said}**, of other recipes and shorter training, until the table's own runs are there."
    )
