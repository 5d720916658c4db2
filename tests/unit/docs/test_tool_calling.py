"""The page on tool calling says what the engines' own parsers did, and what plans say."""

import json
from typing import Any

import pytest

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.engine_notes import TOOLS, engine_notes, read_engine_notes
from llama_operator.engines.registry import ENGINES
from support.captured_parser import capture
from unit.docs.pages import table, text_of

PAGE = "docs/explanation/tool-calling.md"
RECORDED = {
    "vLLM": capture("vllm-0.33.0.tool-calls.json"),
    "SGLang": capture("sglang-0.5.23.tool-calls.json"),
}
SHORT = {
    "W": '{"name": "get_weather", "parameters": {"city": "Paris"}}',
    "B": '{"name": "brave_search", "parameters": {"query": "llamas"}}',
}
ARGUMENTS = {
    "get_weather": {"city": "Paris"},
    "brave_search": {"query": "llamas"},
    "unknown": {},
}
SHOWN = table(PAGE, "answer")


def long(cell: str) -> str:
    """The text that a cell stands for."""
    if not cell:
        return ""
    text = cell.removeprefix("`").removesuffix("`").replace("\\|", "|").replace("⏎", "\n")
    for letter, meant in SHORT.items():
        text = text.replace(letter, meant)
    return text


def test_the_page_says_what_its_letters_stand_for() -> None:
    for letter, meant in SHORT.items():
        assert f"`{letter}` is\n`{meant}`" in text_of(PAGE) or f"`{letter}` is `{meant}`" in (
            text_of(PAGE)
        )


@pytest.mark.parametrize("engine", sorted(RECORDED))
def test_the_page_has_every_recorded_answer(engine: str) -> None:
    assert RECORDED[engine]["parser"] == ENGINES[engine].tool_call_parser(("tools",))
    assert [long(row[0]) for row in SHOWN] == [row["text"] for row in RECORDED[engine]["rows"]]


@pytest.mark.parametrize(
    ("shown", "recorded"),
    [
        pytest.param(row[first : first + 2], recorded, id=f"{engine}: {recorded['text']}")
        for engine, first in (("vLLM", 1), ("SGLang", 3))
        for row, recorded in zip(SHOWN, RECORDED[engine]["rows"], strict=True)
    ],
)
def test_calls_and_content_are_those_recorded(shown: list[str], recorded: dict[str, Any]) -> None:
    calls, content = shown
    assert long(content) == recorded["content"]
    names = [] if calls == "none" else [cell.strip(" `") for cell in calls.split(",")]
    assert recorded["calls"] == [[name, ARGUMENTS[name]] for name in names]


@pytest.mark.parametrize("engine", sorted(RECORDED))
def test_no_built_in_form_becomes_a_call(engine: str) -> None:
    rows = RECORDED[engine]["rows"]
    built_in = [row for row in rows if ".call(" in row["text"] or "print(" in row["text"]]
    assert len(built_in) == 4
    assert all(row["calls"] == [] for row in built_in)


def test_the_table_of_parsers_is_what_engines_name() -> None:
    shown = {row[0]: row[1].strip("`") for row in table(PAGE, "engine")}
    assert set(shown) == set(ENGINES)
    for name, engine in ENGINES.items():
        parser = engine.tool_call_parser(("chat", "tools"))
        assert engine.tool_call_parser(("generate",)) == ""
        assert shown[name] == parser or (not parser and shown[name] in ("built in", "none"))


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_every_engine_has_a_note_that_agrees_with_the_page(name: str) -> None:
    [shown] = [row[1].strip("`") for row in table(PAGE, "engine") if row[0] == name]
    for version in Catalog.load().tables.engines:
        if version.engine == name:
            note = engine_notes(name, version.numbers)[TOOLS]
            assert note.startswith((f"parser {shown},", f"{shown};", f"{shown} is"))


def test_notes_are_short_and_end_without_a_stop() -> None:
    for row in read_engine_notes():
        assert len(row.note) <= 120, json.dumps(row.note)
        assert not row.note.endswith(".")
