"""The list of the paper's claims: each names cells that exist, and what the paper's numbers say."""

from effcnn import cells, claims, paper
from effcnn.verdicts import Better, Leads, NotWorse, Reaches, Stated, alone


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


def test_corrections_are_per_table_and_data_set():
    families = {c.family() for c in claims.CLAIMS if isinstance(c, Better | NotWorse)}
    assert families == {
        *("table-3/mnist", "table-3/cifar10", "table-4/mnist", "table-4/cifar10"),
        "table-5/cifar10",
    }
    rankings = [claim.family() for claim in claims.CLAIMS if isinstance(claim, Leads)]
    assert len({*rankings} | families) == len(rankings) + len(families)
