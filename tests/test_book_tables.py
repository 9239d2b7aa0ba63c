"""Columns of numbers and of sentences have their classes on the page, wherever a table is from."""

import re

import pytest

PAGE = """# Page

| Net | Ours (%) | Time | Says |
| :-- | :-- | :-- | :-- |
| `mnist-25k` | <span class="measured" title="of 5 runs">98.44 ± 0.1</span> | 1.5 (1.4–1.6) | no |
| a name | – | 1.7× | It falls, and nothing says why it does so. |

| CIFAR-10 |
| :-- |
| – |

Of CIFAR-10.
"""


@pytest.fixture
def tables(tmp_path, render):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "index.md").write_text(PAGE)
    out, warnings = render(tmp_path / "source", "effcnn.book_tables")
    assert warnings == ""
    html = (out / "index.html").read_text()
    assert "Of CIFAR-10." in html
    return re.findall(r"<table.*?</table>", html, re.DOTALL)


def classes(row):
    found = re.findall(r'<t[hd] class="([^"]*)"', row)
    return ["".join({"num", "prose", "short"} & set(each.split())) for each in found]


def test_columns_have_the_class_of_what_they_hold(tables):
    rows = re.findall(r"<tr.*?</tr>", tables[0], re.DOTALL)
    assert [classes(row) for row in rows] == [["short", "num", "num", "prose"]] * 3


def test_a_column_of_dashes_is_short(tables):
    rows = re.findall(r"<tr.*?</tr>", tables[1], re.DOTALL)
    assert [classes(row) for row in rows] == [["short"]] * 2


def test_the_name_of_a_data_set_does_not_break_in_a_head(tables):
    assert "CIFAR\N{NON-BREAKING HYPHEN}10" in tables[1]
    assert "CIFAR-10" not in tables[1]
