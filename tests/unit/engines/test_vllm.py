import shlex
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.cases import CASES, Case
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import CudaGraphs, Plan
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.engine_tables import read_engine_loads
from llama_operator.engines.engine import Container, EnvVar
from llama_operator.engines.loading import load_refusal
from llama_operator.engines.vllm import VLLM
from llama_operator.sizing.engine_budget import engine_rules
from support.captured_parser import CAPTURES
from unit.engines.vllm_parser import VllmParser, vllm_parser

GIB = 1 << 30
BY_NAME = {case.name: case for case in CASES}
PLAN = BY_NAME["llama-70b-awq"].plan()


@pytest.fixture(scope="module")
def parser() -> VllmParser:
    return vllm_parser()


def deployment(**spec: Any) -> LlamaDeployment:
    return LlamaDeployment.parse({"metadata": {"name": "llama"}, "spec": {"size": "70b", **spec}})


def container(plan: Plan = PLAN, **spec: Any) -> Container:
    return VLLM().container(plan, deployment(**spec))


def with_values(**values: Any) -> Plan:
    return PLAN.model_copy(update=values)


def environment(result: Container) -> dict[str, str]:
    return {variable.name: variable.value for variable in result.env}


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_vllm_takes_the_arguments_of_every_golden_and_reads_the_plan_in_them(
    case: Case, parser: VllmParser
) -> None:
    plan, body = case.plan(), case.deployment()

    parsed = parser.parse(VLLM().container(plan, body).args)

    assert parsed.model_tag == plan.repository
    assert parsed.model == "Qwen/Qwen3-0.6B", "the default of --model: only the positional counts"
    names = body.spec.served_model_names or [body.metadata.name]
    assert parsed.served_model_name == names
    assert (parsed.host, parsed.port) == ("0.0.0.0", 8000)
    assert parsed.tensor_parallel_size == plan.tensor_parallel_size
    assert parsed.max_model_len == plan.max_model_len
    assert parsed.gpu_memory_utilization == plan.utilization_percent / 100
    assert parsed.max_num_seqs == plan.max_num_seqs
    assert parsed.max_num_batched_tokens == plan.max_num_batched_tokens
    assert parsed.kv_cache_dtype == plan.kv_cache_dtype
    assert parsed.dtype == plan.dtype
    assert parsed.enforce_eager is (plan.cuda_graphs == CudaGraphs.DISABLED)
    assert parsed.quantization is None
    assert parsed.allow_deprecated_quantization is (plan.scheme == "fbgemm-fp8")
    assert parsed.shutdown_timeout == 80
    assert parsed.disable_access_log_for_endpoints == "/health,/metrics"
    assert (parsed.enable_auto_tool_choice, parsed.tool_call_parser) == (True, "llama3_json")


def test_the_arguments_of_the_70b_awq_in_their_order() -> None:
    case = BY_NAME["llama-70b-awq"]

    args = VLLM().container(case.plan(), case.deployment()).args

    assert args == (
        "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4",
        "--served-model-name",
        "llama-70b-awq",
        "--host=0.0.0.0",
        "--port=8000",
        "--tensor-parallel-size=1",
        "--max-model-len=54224",
        "--gpu-memory-utilization=0.92",
        "--max-num-seqs=256",
        "--max-num-batched-tokens=2048",
        "--kv-cache-dtype=auto",
        "--dtype=float16",
        "--shutdown-timeout=80",
        "--disable-access-log-for-endpoints=/health,/metrics",
        "--enable-auto-tool-choice",
        "--tool-call-parser=llama3_json",
    )


@pytest.mark.parametrize(
    ("values", "present", "absent"),
    [
        pytest.param({}, [], ["--pipeline-parallel-size=1"], id="one pipeline stage is not said"),
        pytest.param(
            {"pipeline_parallel_size": 2}, ["--pipeline-parallel-size=2"], [], id="two stages are"
        ),
        pytest.param({"dtype": "auto"}, [], ["--dtype=auto"], id="dtype auto is not said"),
        pytest.param({"dtype": "float16"}, ["--dtype=float16"], [], id="another dtype is"),
        pytest.param({}, [], ["--enforce-eager"], id="CUDA graphs are on by default"),
        pytest.param(
            {"cuda_graphs": CudaGraphs.DISABLED}, ["--enforce-eager"], [], id="without CUDA graphs"
        ),
        pytest.param(
            {"tool_call_parser": ""},
            [],
            ["--enable-auto-tool-choice", "--tool-call-parser="],
            id="a model without tools",
        ),
        pytest.param(
            {"utilization_percent": 50},
            ["--gpu-memory-utilization=0.50"],
            [],
            id="two digits of a round percentage",
        ),
        pytest.param(
            {"utilization_percent": 5}, ["--gpu-memory-utilization=0.05"], [], id="a small one"
        ),
        pytest.param(
            {"utilization_percent": 100}, ["--gpu-memory-utilization=1.00"], [], id="all of it"
        ),
        pytest.param({"kv_cache_dtype": "fp8"}, ["--kv-cache-dtype=fp8"], [], id="fp8 KV cache"),
        pytest.param(
            {"scheme": "fp8-online", "format": "fp8", "quantize_at_load": True},
            ["--quantization=fp8"],
            [],
            id="fp8 made from 16 bit at load",
        ),
        pytest.param(
            {"scheme": "fbgemm-fp8", "format": "fp8"},
            ["--allow-deprecated-quantization"],
            ["--quantization=fbgemm_fp8"],
            id="FP8 as Meta publishes it",
        ),
    ],
)
def test_arguments_follow_the_plan(
    values: dict[str, Any], present: list[str], absent: list[str], parser: VllmParser
) -> None:
    args = container(with_values(**values)).args

    parser.parse(args)
    assert set(present) <= set(args)
    assert not set(absent) & set(args)


def test_extra_arguments_come_last_and_unchanged() -> None:
    extra = ["--seed=7", "$(HF_TOKEN)", "a b'c\"d", "--override-generation-config={}"]

    args = container(engine={"extraArgs": extra}).args

    assert list(args[-4:]) == extra


NAMES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:/-]{0,30}\Z")


@settings(deadline=None)
@given(names=st.lists(NAMES, min_size=1, max_size=16), extra=st.booleans())
def test_served_model_names_swallow_nothing_and_are_not_swallowed(
    names: list[str], extra: bool
) -> None:
    spec: dict[str, Any] = {"servedModelNames": names}
    if extra:
        spec["engine"] = {"extraArgs": ["--seed=7"]}

    parsed = vllm_parser_once().parse(container(**spec).args)

    assert parsed.model_tag == PLAN.repository
    assert parsed.served_model_name == names
    assert parsed.seed == (7 if extra else parsed.seed)


@cache
def vllm_parser_once() -> VllmParser:
    """The parser for tests whose fixtures hypothesis would reset."""
    return vllm_parser()


def test_no_argument_needs_a_shell() -> None:
    for argument in container().args:
        assert shlex.quote(argument) == argument


@pytest.mark.parametrize(
    ("scheme", "capability", "reason"),
    [
        pytest.param("awq-int4-g128", (8, 0), None, id="AWQ on A100"),
        pytest.param("awq-int4-g128", (7, 5), None, id="AWQ on T4"),
        pytest.param("none", (9, 0), None, id="16 bit on H100"),
        pytest.param("fp8-dynamic", (8, 0), None, id="FP8 on A100, weights only"),
        pytest.param("fbgemm-fp8", (8, 0), None, id="Meta's FP8 on A100"),
        pytest.param(
            "awq-int4-g128",
            (7, 0),
            "vLLM loads awq-int4-g128 on GPUs of compute capability 7.5 and above; "
            "this one has 7.0",
            id="AWQ on V100",
        ),
        pytest.param(
            "fbgemm-fp8",
            (7, 5),
            "vLLM loads fbgemm-fp8 on GPUs of compute capability 8.0 and above; this one has 7.5",
            id="Meta's FP8 on T4",
        ),
        pytest.param(
            "bnb-nf4",
            (9, 0),
            "vLLM does not load bnb-nf4: bitsandbytes is not part of vLLM 0.33; "
            "it needs an image with vllm-bnb-plugin",
            id="bitsandbytes",
        ),
        pytest.param(
            "mlx-4bit-g64",
            (9, 0),
            "vLLM does not load mlx-4bit-g64: MLX weights are for MLX",
            id="MLX",
        ),
        pytest.param(
            "Q4_K_M",
            (9, 0),
            "vLLM does not load Q4_K_M: GGUF is not part of vLLM 0.33; "
            "it needs an image with vllm-gguf-plugin",
            id="GGUF",
        ),
    ],
)
def test_refusals(scheme: str, capability: tuple[int, int] | None, reason: str | None) -> None:
    version = Catalog.load().engine("vLLM")
    format_name = {"mlx-4bit-g64": "mlx", "Q4_K_M": "ggufv2"}.get(scheme, "pytorch")
    assert load_refusal(version, scheme, format_name, compute_capability=capability) == reason


def test_the_minimum_compute_capability_is_that_of_the_catalog() -> None:
    catalog = Catalog.load()
    engine = engine_rules("vllm", None).memory.min_compute_capability
    rows = [row for row in read_engine_loads() if row.engine == "vLLM"]
    for row in rows:
        if row.min_compute_capability is not None:
            of_scheme = catalog.scheme(row.scheme).min_compute_capability or engine
            assert row.min_compute_capability == max(of_scheme, engine)


def test_caches_homes_and_times_of_the_environment() -> None:
    assert environment(container()) == {
        "HOME": "/home/vllm",
        "USER": "vllm",
        "LOGNAME": "vllm",
        "TMPDIR": "/tmp",
        "XDG_CACHE_HOME": "/home/vllm/.cache",
        "XDG_CONFIG_HOME": "/home/vllm/.config",
        "XDG_DATA_HOME": "/home/vllm/.local/share",
        "TRITON_CACHE_DIR": "/home/vllm/.cache/triton",
        "TORCHINDUCTOR_CACHE_DIR": "/home/vllm/.cache/torchinductor",
        "NUMBA_CACHE_DIR": "/home/vllm/.cache/numba",
        "VLLM_CACHE_ROOT": "/home/vllm/.cache/vllm",
        "HF_HOME": "/cache/huggingface",
        "VLLM_ENGINE_READY_TIMEOUT_S": "1200",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }


def test_every_folder_of_the_environment_is_writable() -> None:
    result = container(with_values(hub="ModelScope"))

    writable = [folder.path for folder in result.scratch]
    for variable in result.env:
        if variable.value.startswith("/"):
            assert any(
                variable.value == path or variable.value.startswith(f"{path}/") for path in writable
            ), variable.name


def test_model_scope_has_its_own_switch_cache_and_token() -> None:
    reference = {"tokenSecretRef": {"name": "modelscope", "key": "key"}}

    result = container(with_values(hub="ModelScope"), hub="ModelScope", **reference)

    assert environment(result)["VLLM_USE_MODELSCOPE"] == "1"
    assert environment(result)["MODELSCOPE_CACHE"] == "/cache/modelscope"
    assert EnvVar("MODELSCOPE_API_TOKEN", secret_name="modelscope", secret_key="key") in result.env
    assert "HF_TOKEN" not in environment(result)


def test_the_token_is_a_reference_and_never_a_value() -> None:
    result = container(tokenSecretRef={"name": "hf-token"})

    assert EnvVar("HF_TOKEN", value="", secret_name="hf-token", secret_key="token") in result.env
    assert not any("hf-token" in argument for argument in result.args)


def test_the_users_environment_comes_last_replaces_ours_and_no_name_stands_twice() -> None:
    result = container(
        engine={
            "env": [
                {"name": "NCCL_DEBUG", "value": "WARN"},
                {"name": "DO_NOT_TRACK", "value": "0"},
            ]
        }
    )

    names = [variable.name for variable in result.env]
    assert names[-2:] == ["NCCL_DEBUG", "DO_NOT_TRACK"]
    assert environment(result)["DO_NOT_TRACK"] == "0"
    assert environment(result)["NCCL_DEBUG"] == "WARN"
    assert len(names) == len(set(names))


def test_scratch_folders_and_their_limits() -> None:
    scratch = {folder.name: folder for folder in container().scratch}

    assert {name: folder.path for name, folder in scratch.items()} == {
        "cache": "/cache",
        "home": "/home/vllm",
        "tmp": "/tmp",
        "shm": "/dev/shm",
    }
    assert scratch["cache"].size_limit_bytes == 42_829_916_569
    assert scratch["shm"].size_limit_bytes == GIB
    assert [name for name, folder in scratch.items() if folder.medium == "Memory"] == ["shm"]


@pytest.mark.parametrize(
    ("startup_seconds", "failure_threshold"),
    [
        pytest.param(1800, 180, id="a multiple of the period"),
        pytest.param(1801, 181, id="rounded up"),
        pytest.param(0, 1, id="at least one probe"),
    ],
)
def test_the_startup_probe_allows_what_the_plan_allows(
    startup_seconds: int, failure_threshold: int
) -> None:
    probe = container(with_values(startup_seconds=startup_seconds)).startup

    assert (probe.path, probe.period_seconds) == ("/health", 10)
    assert probe.failure_threshold == failure_threshold


def test_liveness_is_slower_to_judge_than_readiness() -> None:
    result = container()

    assert result.readiness.period_seconds * result.readiness.failure_threshold == 15
    assert result.liveness.period_seconds * result.liveness.failure_threshold == 120
    assert result.readiness.path == result.liveness.path == "/health"


def test_the_grace_period_is_pre_stop_drain_and_exit() -> None:
    result = container()

    assert (result.pre_stop_seconds, result.drain_seconds) == (10, 80)
    assert result.termination_grace_period_seconds == 10 + 80 + 30
    assert f"--shutdown-timeout={result.drain_seconds}" in result.args


def test_the_user_is_that_of_the_image() -> None:
    result = container()

    assert (result.user_id, result.group_id) == (2000, 0)
    assert result.image == "vllm/vllm-openai:v0.33.0"
    assert result.port == 8000


@pytest.mark.parametrize(
    ("abilities", "expected"),
    [
        pytest.param(("chat", "tools"), "llama3_json", id="an instruct model"),
        pytest.param(("generate",), "", id="a base model"),
        pytest.param((), "", id="no ability"),
    ],
)
def test_the_tool_call_parser_follows_the_abilities(
    abilities: tuple[str, ...], expected: str, parser: VllmParser
) -> None:
    assert VLLM().tool_call_parser(abilities) == expected


def test_a_running_vllm_exports_every_metric_that_is_named() -> None:
    text = (CAPTURES / "vllm-0.32.0-cpu.metrics.txt").read_text(encoding="utf-8")
    exported = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP ")}

    assert "vllm:num_requests_running" in exported
    assert set(VLLM().metric_names()) <= exported
