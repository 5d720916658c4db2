import pytest

from llama_operator.catalog.tables import Row, read_rows
from llama_operator.errors import CatalogError

COLUMNS = frozenset({"name", "value", "source"})


def row(value: str) -> Row:
    return next(read_rows("t.csv", f'name,value,source\nn,"{value}",s\n', COLUMNS))


def test_rows_know_their_line() -> None:
    rows = list(read_rows("t.csv", "source,name,value\ns,a,1\ns,b,2\n", COLUMNS))
    assert [(item.line, item.text("name"), item.text("value")) for item in rows] == [
        (2, "a", "1"),
        (3, "b", "2"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "t.csv line 1: columns are ; expected name, source, value", id="empty"),
        pytest.param(
            "name,source\na,s\n",
            "t.csv line 1: columns are name, source; expected name, source, value",
            id="a column is missing",
        ),
        pytest.param(
            "name,value,source\na,1\n", "t.csv line 2: 2 cells; expected 3", id="a cell is missing"
        ),
        pytest.param(
            "name,value,source\na,1,\n",
            "t.csv line 2, column source: must not be empty",
            id="no source",
        ),
        pytest.param(
            'name,value,source\na,"1"x,s\n', "t.csv line 2: ',' expected after", id="broken quotes"
        ),
    ],
)
def test_a_table_of_another_form_is_refused(text: str, message: str) -> None:
    with pytest.raises(CatalogError) as caught:
        list(read_rows("t.csv", text, COLUMNS))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("reader", "text", "expected"),
    [
        pytest.param(lambda r: r.words("value"), "a b c", ("a", "b", "c"), id="words"),
        pytest.param(lambda r: r.words("value"), "", (), id="no words"),
        pytest.param(lambda r: r.flag("value"), "true", True, id="true"),
        pytest.param(lambda r: r.flag("value"), "false", False, id="false"),
        pytest.param(lambda r: r.integer("value", least=1, most=9), "9", 9, id="an integer"),
        pytest.param(lambda r: r.number("value", least=0, most=9), "3.65", 3.65, id="a number"),
        # 79.19 * 2**30 = 85,029,615,042.56
        pytest.param(lambda r: r.gib("value"), "79.19", 85_029_615_042, id="GiB, rounded down"),
        # 81,559 * 2**20
        pytest.param(lambda r: r.mib("value"), "81559", 85_520_809_984, id="MiB"),
        pytest.param(lambda r: r.version("value"), "0.19.0", (0, 19, 0), id="a version"),
        pytest.param(lambda r: r.version("value"), "", (), id="no version"),
        pytest.param(lambda r: r.compute_capability("value"), "12.0", (12, 0), id="a capability"),
        pytest.param(lambda r: r.compute_capability("value"), "", None, id="no capability"),
    ],
)
def test_cells_are_read(reader: object, text: str, expected: object) -> None:
    assert callable(reader)
    assert reader(row(text)) == expected


@pytest.mark.parametrize(
    ("reader", "text", "message"),
    [
        pytest.param(lambda r: r.text("value"), "", "must not be empty", id="empty text"),
        pytest.param(lambda r: r.text("value"), " a", "has blanks around it", id="a blank before"),
        pytest.param(lambda r: r.words("value"), "a b a", "names something twice", id="twice"),
        pytest.param(lambda r: r.flag("value"), "True", "is none of true, false", id="no flag"),
        pytest.param(
            lambda r: r.integer("value", least=1, most=9),
            "0",
            "is no whole number from 1 to 9",
            id="too small",
        ),
        pytest.param(
            lambda r: r.integer("value", least=1, most=9),
            "1.5",
            "is no whole number from 1 to 9",
            id="a fraction",
        ),
        pytest.param(
            lambda r: r.integer("value", least=1, most=9), "NaN", "is no number", id="not a number"
        ),
        pytest.param(
            lambda r: r.number("value", least=0, most=1),
            "1.1",
            "is no number from 0 to 1",
            id="big",
        ),
        pytest.param(lambda r: r.gib("value"), "inf", "is no number", id="infinite"),
        pytest.param(
            lambda r: r.version("value"), "1.x", "is no version such as", id="version 1.x"
        ),
        pytest.param(
            lambda r: r.compute_capability("value"),
            "9",
            "is no compute capability",
            id="major only",
        ),
    ],
)
def test_wrong_cells_name_table_line_and_column(reader: object, text: str, message: str) -> None:
    assert callable(reader)
    with pytest.raises(CatalogError) as caught:
        reader(row(text))
    assert str(caught.value).startswith("t.csv line 2, column value: ")
    assert message in str(caught.value)
