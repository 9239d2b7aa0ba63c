"""The list of the paper's claims: each names cells that exist, and what the paper's numbers say."""

from effcnn import cells, claims, families, paper, results, verdicts
from effcnn.verdicts import Better, Leads, Reaches, Stated, alone


def test_every_claim_names_cells_that_exist():
    known = cells.cells()
    for claim in claims.CLAIMS:
        assert set(claim.cells()) <= set(known), claim.text
        assert isinstance(claim, Stated) == (not claim.cells())


def test_no_claim_is_made_twice():
    assert len({claim.text for claim in claims.CLAIMS}) == len(claims.CLAIMS)
    pairs = [pair for c in claims.CLAIMS if not isinstance(c, Leads) for pair in c.pairs()]
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)


def test_each_technique_alone_is_judged_on_both_data_sets():
    for data in paper.TABLE_4:
        own = [c for c in claims.CLAIMS if isinstance(c, Better) and c.section == "Table 4"]
        named = {frozenset(c.cells()) for c in own}
        base = claims.BASE[data]
        assert all(frozenset((base, f"table-4/{data}-{name}")) in named for name in alone(data))


def test_the_papers_numbers_make_its_claims():
    for claim in claims.CLAIMS:
        if isinstance(claim, Better):
            assert paper.accuracy(claim.one) > paper.accuracy(claim.two), claim.text
        if isinstance(claim, Reaches):
            assert paper.accuracy(claim.cell) != paper.accuracy(claim.unlike)
            assert str(paper.accuracy(claim.cell)) in claim.text
        if isinstance(claim, Leads):
            rows = paper.TABLE_4[claim.dataset]
            order = sorted(alone(claim.dataset), key=rows.get, reverse=True)
            assert set(order[: len(claim.names)]) == set(claim.names)
    gain = next(c.text for c in claims.CLAIMS if c.text.startswith("All six"))
    assert "6.86" in gain


def test_every_difference_of_a_claim_is_in_one_family():
    for claim in claims.CLAIMS:
        assert set(claim.cells()) <= set(families.CELLS), claim.text
        for pair in map(set, claim.pairs()):
            found = [n for n, all_ in families.FAMILIES.items() if pair in map(set, all_)]
            assert len(found) == 1, pair
            ranks = isinstance(claim, Leads)
            assert found[0].endswith("who leads") == ranks
            assert ranks or found[0].partition("/")[0] in {c.partition("/")[0] for c in pair}


def test_what_only_a_table_says_is_told_as_its_number():
    for claim in claims.CLAIMS:
        if claim.section.startswith("Table") and not isinstance(claim, Stated):
            gap = verdicts.papers(claim.one, claim.two)
            printed = f"{abs(gap):.2f} for "
            assert claim.text[0] in "+−"
            assert claim.text[1:].startswith(printed), claim.text


def test_runs_like_the_papers_numbers_reproduce_what_its_tables_say(record, tmp_path):
    """And the claims that its own tables deny they do not."""
    runs = {}
    for name in {name for claim in claims.CLAIMS for name in claim.cells()}:
        cell, middle = cells.cells()[name], paper.accuracy(name)
        runs[name] = [
            results.Run(tmp_path, recipe, record(middle + 0.002 * (place % 3 - 1)))
            for place, recipe in enumerate(cell.recipes())
        ]
    table = verdicts.judged(claims.CLAIMS, runs)
    said = {c.text: f.verdict for c, f in zip(table["claim"], table["finding"], strict=True)}
    untold = {claim.text for claim in claims.CLAIMS if isinstance(claim, Stated)}
    assert {text for text, verdict in said.items() if verdict == "not testable"} == untold
    denied = {text for text, verdict in said.items() if verdict == "not reproduced"}
    assert denied == {
        "A depth-wise net of 5K parameters is as accurate as one without, or more so",
        "On CIFAR-10 the depth-wise net is as accurate as the one without",
        "The net of 1,560 parameters is as accurate as that of 25,144",
        "The net of 1,560 parameters is as accurate as that of 7,767",
        # Of 0.01 points each: resolved, where seeds scatter less than they ever do.
        "On MNIST, BP+SE+SWA together are as accurate as BlurPool alone",
        "+0.01 for SAM added to BP+CO+M, which we read as nothing",
    }
    assert "direction only" not in said.values()
