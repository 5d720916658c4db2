"""vLLM's own parser, from its wheel: it has the captured options and takes what is rendered."""

import pytest

from engines import Engines, pins
from golden.row_facts import container
from golden.rows import ROWS
from llama_operator.catalog.catalog import Catalog
from support.captured_parser import capture
from support.engine_parsers import vllm_answers
from unit.engines.engine_plans import PLANS, loads, variants
from unit.engines.engine_plans import container as rendered

LINES = (
    ("m --max-model-len=8k --gpu-memory-utilization=0.92", None),
    ("m --max_model_len 8192", None),
    ("m --max-model-lenn=8192", "unrecognized arguments: --max-model-lenn=8192"),
    ("m --max-model=8192", None),
    ("m --max-model-len=many", "argument --max-model-len: "),
    ("m --dtype=int4", "argument --dtype: invalid choice: 'int4'"),
    ("m --speculative-config={", "argument --speculative-config/-sc: "),
    ("m --port", "argument --port: expected one argument"),
    ("--help", "it ends by itself"),
)
ROW_LINES = {row.name: container(row).args for row in ROWS if row.engine == "vLLM"}
PLAN = PLANS["vLLM"]
VARIANTS = {one.name: rendered(PLAN, one).args for one in variants(PLAN) + loads(PLAN)}


@pytest.fixture(scope="module")
def answers(engines: Engines) -> tuple[list[list[str]], list[str | None]]:
    """One process for all of them: it imports for ten seconds."""
    lines = [line.split() for line, _ in LINES]
    return vllm_answers(engines.vllm_python, [*lines, *ROW_LINES.values(), *VARIANTS.values()])


def test_the_parser_is_that_of_the_version_that_is_deployed() -> None:
    assert pins.pinned_version(pins.VLLM, "vllm") == Catalog.load().engine("vLLM", None).version


def test_the_captured_options_are_all_that_it_has(
    answers: tuple[list[list[str]], list[str | None]],
) -> None:
    captured = {tuple(flag["flags"]) for flag in capture("vllm-0.33.0.flags.json")["flags"]}
    own = {tuple(names) or ("model_tag",) for names in answers[0]}
    assert own == captured | {("-h", "--help")}


def test_it_says_why_it_refuses(answers: tuple[list[list[str]], list[str | None]]) -> None:
    for (line, expected), refusal in zip(LINES, answers[1], strict=False):
        assert (refusal is None) == (expected is None), (line, refusal)
        assert (refusal or "").startswith(expected or ""), (line, refusal)


def test_it_takes_the_arguments_of_every_row_and_variant(
    answers: tuple[list[list[str]], list[str | None]],
) -> None:
    names = [*ROW_LINES, *VARIANTS]
    assert len(ROW_LINES) > 20
    assert len(VARIANTS) > 20
    refusals = dict(zip(names, answers[1][len(LINES) :], strict=True))
    assert {name: why for name, why in refusals.items() if why is not None} == {}
