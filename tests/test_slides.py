"""What of a page becomes a slide, in which order, and what is only spoken."""

import pytest
from bs4 import BeautifulSoup

from effcnn import slides
from effcnn.errors import UserError

HEAD = """<html><body><script>out()</script><article class="bd-article"><section id="top">
<h1><span class="section-number">2. </span>Heads<a class="headerlink" href="#top">#</a></h1>
<p>Which head? The <em>smaller</em> one.</p>
"""
CODE = '<div class="highlight-ipython3"><div class="highlight"><pre>{}</pre></div></div>'
PRINTED = '<div class="output stream"><div class="highlight"><pre>{}</pre></div></div>'
FIGURE = """<figure id="fig-one"><img alt="Two lines." src="_images/one.svg"/><figcaption><p>
<span class="caption-number">Fig. 2.1 </span><span class="caption-text">What it shows.</span>
<a class="headerlink" href="#fig-one">#</a></p></figcaption></figure>
"""


def cell(code="", output="", tags=""):
    code = code and f'<div class="cell_input">{CODE.format(code)}</div>'
    return f'<div class="cell {tags}">{code}<div class="cell_output">{output}</div></div>'


def section(heading, *content, level=2, name="part"):
    head = f'<h{level}><span class="section-number">2.1. </span>{heading}</h{level}>'
    return f'<section id="{name}">{head}{"".join(content)}</section>'


def pick(*sections):
    return slides.pick(HEAD + "".join(sections) + "</section></article>", "heads.html", "../html/")


def one(*content, heading="At work"):
    """The slides of a page's only section, without the first."""
    return pick(section(heading, *content))[1:]


def plain(pieces):
    return " ".join(BeautifulSoup(" ".join(pieces), "html.parser").get_text(" ").split())


def table(rows, caption="All of it."):
    body = "".join(f"<tr><td>row {number}</td></tr>" for number in range(rows))
    return (
        f'<div class="pst-scrollable-table-container"><table id="tab-one"><caption>{caption}'
        f"</caption><thead><tr><th>Head</th></tr></thead><tbody>{body}</tbody></table></div>"
    )


def test_slides_are_in_the_order_of_the_page_with_heading_and_link():
    inner = section("Inside", FIGURE, level=3, name="inside")
    found = pick(
        section("Overview", "<p>You can</p><ul><li><p>count</p></li></ul>", name="overview"),
        section("The idea", '<div class="math" id="eq">x</div>', inner, name="idea"),
        section("Takeaways", "<ul><li><p>So.</p></li></ul>", name="end"),
    )
    assert [(s.kind, s.heading, s.link) for s in found] == [
        ("title", "Heads", "../html/heads.html"),
        ("list", "Overview", "../html/heads.html#overview"),
        ("math", "The idea", "../html/heads.html#idea"),
        ("figure", "Inside", "../html/heads.html#inside"),
        ("list", "Takeaways", "../html/heads.html#end"),
    ]
    assert plain(found[0].body) == "Which head? The smaller one."


@pytest.mark.parametrize("heading", slides.LEFT_OUT)
def test_what_a_lecture_leaves_out(heading):
    assert one(FIGURE, section("Inside", FIGURE, level=3), heading=heading) == []


def test_prose_beside_a_block_is_cut_at_a_sentence_and_spoken_whole():
    long = "It says <code>a. B</code> in every case. " + "More words follow here. " * 20
    (slide,) = one(f"<p>{long.strip()}</p>", '<div class="math">x</div>', "<p>So it is.</p>")
    above, _, below = slide.body
    assert plain([above]).startswith("It says a. B in every case. More words")
    assert plain([above]).endswith("follow here.")
    assert len(plain([above])) <= 170
    assert plain([below]) == "So it is."
    assert plain(slide.notes).count("More words follow here.") == 20


@pytest.mark.parametrize(
    "text",
    [
        "Zhou et al. Found it" + " and looked" * 40 + ".",
        "A step of 0.5 points" + " and more" * 40 + ".",
        "It has <strong>no. End</strong> of it" + " and more" * 40 + ".",
    ],
)
def test_a_sentence_does_not_end_within(text):
    (slide,) = one(f"<p>{text} Another one.</p>")
    assert plain(slide.body) == plain([text])


def test_a_paragraph_that_goes_on_in_the_block_gives_its_last_sentence():
    text = "<p>First of all this. " + "Then more of it. " * 20 + "It is</p>"
    (slide,) = one(text, '<div class="math">x</div>')
    assert plain(slide.body[:1]).endswith("It is")
    assert "First of all" not in plain(slide.body[:1])


def test_a_sentence_that_leads_to_a_command_is_not_shown():
    command = '<div class="highlight-bash"><div class="highlight"><pre>run</pre></div></div>'
    (slide,) = one("<p>It was seen. To see it, run</p>", command, FIGURE)
    assert plain(slide.body[:1]) == "It was seen."
    assert one("<p>To see it, run</p>", command) == []


def test_a_figure_has_what_follows_as_its_headline():
    first, second = one(FIGURE, "<p>It falls.</p>", FIGURE.replace("fig-one", "fig-two"))
    assert plain(first.body) == "It falls. Fig. 2.1 What it shows."
    assert plain(second.body) == "Fig. 2.1 What it shows."
    led = one("<p>The first.</p>", FIGURE, "<p>The second.</p>", table(1))
    assert [plain(slide.body[:1]) for slide in led] == ["The first.", "The second."]
    (first, _) = one(FIGURE, "<p><strong>What it costs.</strong> Nothing.</p>")
    assert plain(first.body) == "Fig. 2.1 What it shows."
    pointing = '<p>See <a href="#fig-two">Fig. 2.2</a>.</p>'
    first, second = one(FIGURE, pointing, FIGURE.replace("fig-one", "fig-two"))
    assert plain(first.body) == "Fig. 2.1 What it shows."
    assert plain(second.body).startswith("See Fig. 2.2")


def test_a_sentence_between_two_pieces_of_code_leads_to_the_second():
    code = cell("x = 1")
    for text in ("It is one.", "Here is another."):
        first, second = one(code, f"<p>{text}</p>", code, heading="The code")
        assert (len(first.body), plain(second.body[:1])) == (1, text)
    first, second = one(FIGURE, "<p>To see it, here is another.</p>", FIGURE)
    assert (len(first.body), len(second.body)) == (1, 2)


def test_prose_without_a_block_has_a_slide_of_its_own():
    found = one(*(f"<p>Thought {number}.</p>" for number in range(4)))
    assert [slide.kind for slide in found] == ["text", "text"]
    assert plain(found[0].body) == "Thought 0. Thought 1. Thought 2."


@pytest.mark.parametrize("rows", [1, 9, 10, 40])
def test_a_long_table_goes_on_with_its_head_and_loses_no_row(rows):
    found = one("<p>Look.</p>", table(rows))
    shown = [BeautifulSoup(slide.body[-1], "html.parser") for slide in found]
    cells = [cell.get_text() for piece in shown for cell in piece.find_all("td")]
    assert cells == [f"row {number}" for number in range(rows)]
    assert all(piece.th and piece.caption and len(piece.find_all("td")) <= 9 for piece in shown)


def test_a_long_list_goes_on_counting():
    items = "".join(f"<li><p>Point {number}.</p></li>" for number in range(1, 12))
    found = one(f"<ol>{items}</ol>")
    shown = [BeautifulSoup(slide.body[-1], "html.parser").ol for slide in found]
    numbers = [
        (int(each["start"]) + place, point.get_text())
        for each in shown
        for place, point in enumerate(each.find_all("li"))
    ]
    assert len(shown) == 2
    assert numbers == [(number, f"Point {number}.") for number in range(1, 12)]


def test_code_is_shown_where_it_is_taught_or_short():
    long, short = "\n".join(["x = 1"] * 15), "print(1)"
    three = PRINTED.format("1\n2\n3")
    for heading, code, output, shown in [
        ("The code", long, "", "code"),
        ("At work", long, "", None),
        ("At work", long, three, "output"),
        ("At work", short, "", None),
        ("At work", short, PRINTED.format("1"), "code"),
        ("The code", long * 3, "", None),
    ]:
        found = one("<p>Here.</p>", cell(code, output), heading=heading)
        assert (found[0].kind if len(found[0].body) > 1 else None) == shown
    assert one(cell(long, three)) == []  # numbers without a word


def test_source_is_shown_without_the_call_that_fetched_it():
    source = (
        '<div class="highlight-python"><div class="highlight"><pre>def f(): 1</pre></div></div>'
    )
    (slide,) = one(cell("chapter.source(f)", source), heading="The code")
    assert plain(slide.body) == "def f(): 1"


def test_what_is_folded_or_marked_is_left_out():
    folded = f'<details class="admonition hide above-input">{CODE.format("secret")}</details>'
    assert one(f'<div class="cell tag_hide-input">{folded}</div>', heading="The code") == []
    assert one(cell("x", tags="tag_no-slide"), heading="The code") == []
    assert one(cell("x", tags="tag_parameters"), heading="The code") == []
    assert one(f'<div class="docutils container no-slide">{FIGURE}<p>Words.</p></div>') == []


def test_a_solution_is_spoken_and_not_shown():
    exercise = """<div class="exercise admonition" id="ex"><p class="admonition-title">Exercise 2.1
    </p><section id="c"><p>How many?</p></section></div><div class="solution dropdown admonition">
    <section id="s"><p>Ten.</p>{}{}</section></div>"""
    check = cell("check.ten(answer)", PRINTED.format("Right."), "tag_check")
    (slide,) = one(exercise.format(cell("answer = 10"), check), heading="Exercises")
    assert plain(slide.body) == "Exercise 2.1 How many?"
    assert plain(slide.notes) == "Ten. answer = 10"
    assert "<section" not in "".join(slide.body + slide.notes)  # to reveal.js it is a slide


def test_ids_stay_in_the_book_and_links_lead_there():
    content = '<p>See <a href="#fig-one">this</a>, <a href="sam.html#x">that</a>.</p>', FIGURE
    (slide,) = one(*content)
    text = "".join(slide.body + slide.notes)
    assert "id=" not in text
    assert 'href="../html/heads.html#fig-one"' in text
    assert 'href="../html/sam.html#x"' in text
    assert 'src="images/one.svg"' in text
    assert 'alt="Two lines."' in text


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ('<img src="_images/one.svg"/>', "one.svg has no alternative text"),
        ('<img alt=" " src="_images/one.svg"/>', "one.svg has no alternative text"),
        ('<img alt="_images/one.svg" src="_images/one.svg"/>', "has no alternative text"),
        ('<img alt="_images/one.svg" src="_images/one1.svg"/>', "has no alternative text"),
        ('<img alt="one.svg" src="_images/one.svg"/>', "has no alternative text"),
        ('<img alt="A" src="https://example.org/one.svg"/>', "not one of the book's own"),
    ],
)
def test_an_image_without_text_or_from_elsewhere_fails(image, says):
    with pytest.raises(UserError, match=rf"heads\.html: .*{says}"):
        one(f"<figure>{image}</figure>")


@pytest.mark.filterwarnings("default")  # Sphinx's own
@pytest.mark.parametrize(("alt", "described"), [(":alt: Two lines.", True), ("", False)])
def test_an_address_that_docutils_puts_in_is_no_text(alt, described, render, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "one.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (source / "index.md").write_text(f"# Page\n\n```{{figure}} one.svg\n{alt}\n\nIt.\n```\n")
    out, warnings = render(source)
    image = BeautifulSoup((out / "index.html").read_text(), "html.parser").find("img")
    assert warnings == ""
    assert image["alt"]  # a check for nothing at all would pass
    assert slides.described(image) == described


@pytest.mark.parametrize("text", ["", "<article class='bd-article'><p>x</p></article>"])
def test_what_is_no_page_fails(text):
    with pytest.raises(UserError, match=r"search\.html is not a page"):
        slides.pick(text, "search.html")
