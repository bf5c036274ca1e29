import pytest

from leopard.documents.html_tables import cells_from_html
from leopard.errors import DocumentFormatError

HTML = """<p>before</p><table><caption>left out</caption>
<tr><th rowspan="2">Name</th><th colspan=2>Year<br/>ended</th></tr>
<tr><th>2019</th><th>2018</th></tr>
<tr><td>Sales &amp; rent<script>x</script></td><td>1,200</td><td>
<table><tr><td>7</td></tr></table></td>
<tr><td>Open cell<td>5</table><table><tr><td>second</td></tr></table>"""


def test_html_spans_and_nested_tables_are_read():
    rows = cells_from_html(HTML)
    assert [[cell.text for cell in row] for row in rows] == [
        ["Name", "Year ended"],
        ["2019", "2018"],
        ["Sales & rent", "1,200", "7"],
        ["Open cell", "5"],
    ]
    assert (rows[0][0].rows, rows[0][1].cols, rows[0][0].is_header) == (2, 2, True)
    assert not rows[2][0].is_header


@pytest.mark.parametrize("html", ["", "<p>no table</p>", "<table><tr></tr></table>"])
def test_html_without_cells_is_refused(html):
    with pytest.raises(DocumentFormatError, match="no table"):
        cells_from_html(html)


@pytest.mark.parametrize(
    ("span", "rows"),
    [("0", 1000), ("x", 1), ("-2", 1), ("3", 3), ("99999", 1000), ("9" * 5000, 1000), ("²", 1)],
)
def test_odd_spans_are_tamed(span, rows):
    html = f"<table><tr><td rowspan='{span}'>a</td></tr></table>"
    assert cells_from_html(html)[0][0].rows == rows
