"""tests/promises.yaml is whole, and docs/verification.md is made from it."""

import re
from pathlib import Path

import pytest

from verification import page, promises, record

ROOT = Path(__file__).resolve().parents[3]
SECTIONS = promises.load(ROOT)
PROMISES = list(promises.all_of(SECTIONS))
NODES = sorted({node for promise in PROMISES for node in promise.tests})
FAULTS = [*range(1, 19), 20, 21, 23, 24, *range(26, 35), *range(36, 40), 47]


@pytest.mark.parametrize("node", NODES)
def test_a_named_test_exists(node: str) -> None:
    assert promises.missing(ROOT, node) == ""


@pytest.mark.parametrize(
    ("node", "why"),
    [
        pytest.param("tests/none.py::test_a", "tests/none.py does not exist", id="no file"),
        pytest.param("tests/run.py::test_a", "tests/run.py has no test_a", id="no function"),
        pytest.param("tests/run.py::A::main[a::b]", "", id="a class and parameters"),
    ],
)
def test_a_name_that_leads_nowhere_is_found(node: str, why: str) -> None:
    assert promises.missing(ROOT, node) == why


MARKED = {
    int(number)
    for path in (ROOT / "tests").rglob("test_*.py")
    for numbers in re.findall(r"mark\.fault\(([\d, ]+)\)", path.read_text("utf-8"))
    for number in numbers.split(",")
    if path != Path(__file__) and path.parent.name != "verification"
}
"""Numbers of faults that tests are marked to prove."""


def test_every_fault_is_listed_once_in_order() -> None:
    listed = [promise.fault for promise in PROMISES if promise.fault is not None]
    assert listed == sorted(set(listed))
    assert {*FAULTS, *MARKED} <= set(listed)


def test_a_fault_tells_what_is_done() -> None:
    assert all(bool(one.injected) == (one.fault is not None) for one in PROMISES)


def test_promises_speak_of_the_product() -> None:
    told = " ".join(
        [section.text for section in SECTIONS]
        + [f"{promise.injected} {promise.promise}" for promise in PROMISES]
    )
    assert re.findall(r"#\d+|\bissue\b|\bTODO\b", told) == []


def test_the_page_is_what_promises_and_record_render_to() -> None:
    rendered = page.render(SECTIONS, record.load(ROOT))
    assert (ROOT / page.FILE).read_text("utf-8") == rendered


def test_the_record_is_of_promises_that_exist() -> None:
    assert set(record.load(ROOT)["promises"]) <= {promise.id for promise in PROMISES}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.id)
def test_no_promise_is_left_out_of_the_page(promise: promises.Promise) -> None:
    text = (ROOT / page.FILE).read_text("utf-8")
    assert " ".join(promise.promise.split()) in text


def test_ids_are_used_once(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    row = "{id: same, promise: a}"
    text = f"sections: [{{title: a, promises: [{row}, {row}]}}]"
    (tmp_path / promises.FILE).write_text(text, "utf-8")
    with pytest.raises(ValueError, match="used twice: same"):
        promises.load(tmp_path)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("{id: Not Kebab, promise: a}", id="an id in other letters"),
        pytest.param(
            "{id: a, promise: a, figures: [{name: a, text: none}]}", id="a text without place"
        ),
        pytest.param(
            "{id: a, promise: a, figures: [{name: a, text: '{}', of: mean}]}", id="another mean"
        ),
    ],
)
def test_a_wrong_row_is_refused(tmp_path: Path, row: str) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / promises.FILE).write_text(f"sections: [{{title: a, promises: [{row}]}}]", "utf-8")
    with pytest.raises(ValueError, match=r"promises\.yaml"):
        promises.load(tmp_path)
