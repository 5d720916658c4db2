"""Every row of the model catalogs becomes the deployment that is recorded, or is refused so."""

from collections.abc import Callable, Sequence
from functools import cache

import pytest

from golden.row_facts import FOLDER, container, goldens, outcome, planned
from golden.row_table import HF, MS, SPECIFICATIONS, Row
from golden.rows import CARD, CARD_MODEL, CARD_NAME, PLACEMENTS, ROWS
from llama_operator.api.enums import EngineType
from llama_operator.api.reasons import Reason
from llama_operator.catalog.catalog import Catalog
from llama_operator.engines.registry import ENGINES
from llama_operator.planning.outcome import Planned, Refusal
from support.captured_parser import CapturedParser
from support.llama_server_help import llama_server_arguments
from support.tgi_environment import check
from unit.engines.vllm_parser import vllm_parser
from unit.engines.wheel_parsers import mlx_parser, sglang_parser, transformers_parser

BY_NAME = {row.name: row for row in ROWS}
PLACED = [pytest.param(row, id=row.name) for row in ROWS if not row.is_refused]
REFUSALS = [pytest.param(row, id=row.name) for row in ROWS if row.is_refused]
OUTRANKED = "RedHatAI/Meta-Llama-3.1-405B-Instruct-FP8"
"""Meta's own repository comes before it, so that no spec leads to it."""
GIB = 2**30


def named(name: str) -> Row:
    return BY_NAME[name]


def refusal(row: Row) -> Refusal:
    found = outcome(row)
    assert isinstance(found, Refusal), row.name
    return found


def variables(row: Row) -> dict[str, str]:
    return {variable.name: variable.value for variable in container(row).env}


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(ROWS)


@pytest.mark.parametrize(
    ("file", "expected"), [pytest.param(*item, id=item[0]) for item in goldens(ROWS).items()]
)
def test_a_row_is_as_recorded(file: str, expected: str) -> None:
    recorded = (FOLDER / f"{file}.yaml").read_text(encoding="utf-8")
    assert recorded == expected, f"{file}.yaml: see `make golden`"


def test_no_file_is_left_of_a_row_that_is_gone() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {row.file for row in ROWS}


@pytest.mark.parametrize("row", PLACED)
def test_a_row_is_placed_by_its_engine(row: Row) -> None:
    plan = planned(row)
    assert plan.engine == row.engine
    assert isinstance(outcome(row), Planned)
    assert plan.max_concurrency >= plan.concurrency == 2


REASONS = {
    "refused-by-engine": {Reason.UNSUPPORTED_FORMAT},
    "refused-by-hub": {Reason.NOT_PUBLISHED, Reason.INVALID_SPEC},
    "refused-otherwise": {Reason.WEIGHTS_TOO_LARGE, Reason.MODEL_NOT_SERVABLE},
}


@pytest.mark.parametrize("row", REFUSALS)
def test_a_row_is_refused_for_its_own_reason(row: Row) -> None:
    assert refusal(row).reason in REASONS[row.file]


def test_every_publication_of_the_catalog_is_a_row() -> None:
    tried = {
        (plan.repository, plan.file, plan.quantization, plan.hub)
        for plan in (planned(row) for row in ROWS if not row.is_refused)
    }
    missing = {
        (row.repository, row.quantization)
        for row in Catalog.load().tables.publications
        if row.repository not in {OUTRANKED, "meta-llama/Prompt-Guard-86M"}
        and not any(
            (row.repository, row.quantization, row.hub) == (repository, quantization, hub)
            for repository, _, quantization, hub in tried
        )
    }
    at_load = {  # engines=Transformers, which does not download from ModelScope
        ("LLM-Research/Meta-Llama-3.1-405B-Instruct", quantization)
        for quantization in ("4-bit", "8-bit")
    }
    assert missing == at_load


@pytest.mark.parametrize(
    ("number", "format_name", "quantization", "hub", "repository"),
    [
        pytest.param(one.number, one.format, quantization, hub, one.repository(hub, quantization))
        for one in SPECIFICATIONS
        for quantization in one.quantizations
        for hub in (HF, MS)
    ],
)
def test_the_repository_is_that_of_the_xinference_page(
    number: int, format_name: str, quantization: str, hub: str, repository: str
) -> None:
    one = next(one for one in SPECIFICATIONS if one.number == number)
    published = {
        row.repository
        for row in Catalog.load().publications("llama-3.1-instruct", one.size)
        if (row.format, row.quantization, row.hub, row.publisher_rank)
        == (format_name, quantization, hub, 1)
    }
    assert published == ({repository} if repository else set())


def test_the_page_has_nineteen_specifications() -> None:
    assert {one.number for one in SPECIFICATIONS} == set(range(1, 20))
    assert sum(len(one.quantizations) for one in SPECIFICATIONS) == 33


def test_a_hole_of_a_hub_names_the_hub_that_has_it() -> None:
    holes = [
        refusal(row).message
        for row in ROWS
        if row.is_refused and refusal(row).reason is Reason.NOT_PUBLISHED
    ]
    # IQ4_XS of spec 1, the eight of spec 6, and specs 11 to 16
    assert len(holes) == 1 + 8 + 6
    assert all("is not on ModelScope; HuggingFace has it" in message for message in holes)


def test_an_engine_that_cannot_reach_a_hub_says_so() -> None:
    messages = {
        refusal(row).message
        for row in ROWS
        if row.is_refused and refusal(row).reason is Reason.INVALID_SPEC
    }
    assert messages == {
        f"spec.hub: {engine} cannot follow it: it downloads from Hugging Face alone"
        for engine in ("TGI 3.3.7", "Transformers 5.23.0")
    }


def test_prompt_guard_is_refused_as_the_classifier_that_it_is() -> None:
    message = refusal(named("refused-otherwise: Prompt Guard")).message
    assert "it is a classifier" in message
    assert "llama-guard-3" in message


@pytest.mark.parametrize(
    ("quantization", "gigabytes", "parts"), [card_row[:3] for card_row in CARD]
)
def test_a_file_of_the_gguf_card(quantization: str, gigabytes: str, parts: int) -> None:
    """Weights on the GPU are the file but the input matrix, which stays in host memory:

    128,256 * 8,192 elements, in Q8_0 (8.5 bits) 1.12 GB, in Q2_K (2.625 bits) 0.34 GB.
    """
    plan = planned(named(f"card-70b-ggufv2.LlamaCpp: {quantization}"))
    flat = f"Meta-Llama-3.1-70B-Instruct-{quantization}"
    split = f"{flat}/{flat}-00001-of-00002"
    assert plan.repository == CARD_NAME
    assert plan.file == (f"{flat}.gguf" if parts == 1 else f"{split}.gguf")
    elsewhere = float(gigabytes) * 10**9 - plan.memory_per_gpu.weights_bytes
    assert 0.33 * 10**9 < elsewhere < 1.15 * 10**9
    assert plan.host.disk_bytes > float(gigabytes) * 10**9
    assert plan.gpu.count == 1


def test_the_gguf_card_has_nineteen_files() -> None:
    assert len(CARD) == 19 == len(CARD_MODEL["publications"])


@pytest.mark.parametrize("version", ["2.2.0", "3.3.7"])
def test_the_command_of_the_awq_card_for_tgi(version: str) -> None:
    """`--shm-size 1g -e NUM_SHARD=4 -e QUANTIZE=awq -e MAX_INPUT_LENGTH=4000 -e
    MAX_TOTAL_TOKENS=4096 ghcr.io/huggingface/text-generation-inference:2.2.0`; inputs may be
    longer here, up to the one token that must be left."""
    row = named(f"card-70b-awq.TGI: TGI {version}")
    found = variables(row)
    asked = {
        "MODEL_ID": "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4",
        "NUM_SHARD": "4",
        "QUANTIZE": "awq",
        "MAX_TOTAL_TOKENS": "4096",
    }
    assert asked.items() <= found.items()
    inputs = found["MAX_INPUT_LENGTH" if version == "2.2.0" else "MAX_INPUT_TOKENS"]
    assert 4000 <= int(inputs) < 4096
    assert container(row).image == f"ghcr.io/huggingface/text-generation-inference:{version}"
    assert planned(row).host.shm_bytes == GIB


def test_the_command_of_the_awq_card_for_vllm() -> None:
    """`vllm/vllm-openai:latest --model hugging-quants/... --tensor-parallel-size 4
    --max-model-len 4096`, with the model as the first argument."""
    row = named("card-70b-awq.vLLM: vLLM")
    args = container(row).args
    assert args[0] == "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4"
    assert {"--tensor-parallel-size=4", "--max-model-len=4096"} <= set(args)


@pytest.mark.parametrize(("title", "node"), [(title, node) for title, _, node in PLACEMENTS])
def test_a_placement_of_the_post(title: str, node: tuple[str, int]) -> None:
    row = next(row for row in ROWS if row.title == title)
    plan = planned(row)
    assert (plan.gpu.product, plan.gpu.count) == node
    assert plan.max_model_len >= 8192


def test_forty_gigabytes_leave_a_reduced_kv_cache() -> None:
    """`8xA100 40GB (with a reduced KV-cache and without CUDA graphs)`."""
    for name in ("AWQ", "GPTQ"):
        small, large = (
            planned(named(f"post.vLLM: 405B {name} on 8x A100 {memory} GB")) for memory in (40, 80)
        )
        assert 10 * small.kv_cache_tokens < 1.1 * large.kv_cache_tokens
    reduced = named("post.TGI: 405B AWQ on 8x A100 40 GB, without CUDA graphs")
    assert variables(reduced)["CUDA_GRAPHS"] == "0"
    assert "--enforce-eager" in container(named(f"post.vLLM: {reduced.title}")).args


@pytest.mark.parametrize("row", [row for row in ROWS if row.engine == "TGI" and not row.is_refused])
def test_tgi_2_takes_the_longest_prompt_in_one_step(row: Row) -> None:
    found = variables(row)
    if planned(row).engine_version.startswith("2."):
        longest = int(found["MAX_INPUT_LENGTH"])
        assert int(found["MAX_BATCH_PREFILL_TOKENS"]) >= longest
    assert int(found["MAX_TOTAL_TOKENS"]) > int(
        found.get("MAX_INPUT_TOKENS", found.get("MAX_INPUT_LENGTH", "0"))
    )


def test_mlx_runs_on_one_gpu_and_transformers_by_layers() -> None:
    for row in (row for row in ROWS if not row.is_refused):
        plan = planned(row)
        if plan.engine == EngineType.MLX:
            assert plan.gpu.count == 1
        if plan.engine in (EngineType.TRANSFORMERS, EngineType.LLAMA_CPP):
            assert plan.tensor_parallel_size == 1


PARSERS: dict[str, Callable[[], CapturedParser]] = {
    "vLLM": vllm_parser,
    "SGLang": sglang_parser,
    "Transformers": transformers_parser,
    "MLX": mlx_parser,
}


@cache
def parser(engine: str) -> CapturedParser:
    return PARSERS[engine]()


def parse(engine: str, args: Sequence[str]) -> None:
    """Parse by the engine's own flags (tests/captures)."""
    if engine == "LlamaCpp":
        llama_server_arguments().parse(list(args))
    elif engine == "Transformers":
        assert args[0] == "serve"
        parser(engine).parse(list(args[1:]))
    else:
        parser(engine).parse(list(args))


@pytest.mark.parametrize("row", PLACED)
def test_the_engine_takes_the_arguments_of_a_row(row: Row) -> None:
    plan, found = planned(row), container(row)
    if plan.engine == "TGI":
        assert found.args == ()
        check(plan.engine_version, variables(row))
    else:
        parse(plan.engine, found.args)


def test_every_engine_has_rows() -> None:
    assert {row.engine for row in ROWS if not row.is_refused} == set(ENGINES)
