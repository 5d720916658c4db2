"""vLLM: arguments, environment, probes and graceful end of `vllm serve`.

Facts are those of vLLM 0.33.0 and its image, whose entrypoint is `vllm serve`: flags from its own
parser (tests/captures), the rest from its source unless a docstring says otherwise.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.enums import EngineType, Hub
from llama_operator.api.names import PORT
from llama_operator.api.plan import CudaGraphs, Plan
from llama_operator.engines.engine import Container, EnvVar, HttpProbe, Scratch
from llama_operator.engines.schemes import VLLM_SCHEMES, LoadableScheme, load_schemes
from llama_operator.units import GIB, ceil_div

USER: Final = "vllm"
"""User of the image: UID 2000, GID 0. `getpass.getuser` reads USER and LOGNAME before passwd."""
USER_ID: Final = 2000
GROUP_ID: Final = 0

CACHE_PATH: Final = "/cache"
"""Downloaded model files, and nothing else: the plan sizes this folder by them."""
HOME_PATH: Final = "/home/vllm"
TEMPORARY_PATH: Final = "/tmp"  # noqa: S108 - a folder of the container, on a volume of its own
SHM_PATH: Final = "/dev/shm"  # noqa: S108 - a folder of the container, on a volume of its own
HOME_LIMIT_BYTES: Final = 8 * GIB
"""Bound of compile caches (torch.compile, Triton, FlashInfer), so that a runaway cache evicts one
pod instead of filling the node's disk. Generous: no size of these caches is published."""
TEMPORARY_LIMIT_BYTES: Final = 2 * GIB
"""Bound of /tmp, which holds Unix sockets and compiler scratch files."""

PRE_STOP_SECONDS: Final = 10
"""Wait before SIGTERM until endpoints have gone from every proxy."""
DRAIN_SECONDS: Final = 80
"""Time for running requests after SIGTERM. Without `--shutdown-timeout` vLLM aborts them."""
EXIT_SECONDS: Final = 30
"""Time to tear down worker processes after the drain; the grace period is the sum, 120 s."""

STARTUP_PERIOD_SECONDS: Final = 10
METRIC_NAMES: Final = (
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:num_preemptions_total",
    "vllm:prompt_tokens_total",
    "vllm:generation_tokens_total",
    "vllm:request_success_total",
    "vllm:time_to_first_token_seconds",
    "vllm:inter_token_latency_seconds",
    "vllm:e2e_request_latency_seconds",
    "vllm:request_queue_time_seconds",
    "vllm:cache_config_info",
)
"""Load first, then memory: `cache_config_info` carries the KV-cache tokens in its labels."""

_SCHEMES: Final = load_schemes(VLLM_SCHEMES)


class VLLM:
    """The engine vLLM."""

    name: str = EngineType.VLLM.value

    def refusal(self, scheme: str, compute_capability: tuple[int, int] | None) -> str | None:
        """Why vLLM cannot load the scheme on such a GPU; None when it can.

        Args:
            scheme: name of the weight scheme, e.g. `awq-int4-g128`.
            compute_capability: (major, minor) of the GPU; None for GPUs that have none, on which
                the image, built for CUDA, does not run.
        """
        row = _SCHEMES.get(scheme)
        if row is None:
            return f"vLLM does not load {scheme}; it loads {', '.join(_loaded())}"
        if row.min_compute_capability is None:
            return f"vLLM does not load {scheme}: {row.not_loaded}"
        if compute_capability is None:
            return "the image of vLLM needs a GPU with a CUDA compute capability"
        if compute_capability < row.min_compute_capability:
            return (
                f"vLLM loads {scheme} on GPUs of compute capability "
                f"{_dotted(row.min_compute_capability)} and above; "
                f"this one has {_dotted(compute_capability)}"
            )
        return None

    def tool_call_parser(self, abilities: Collection[str]) -> str:
        """Parser of tool calls for a Llama 3.1 model; empty when it has no ability `tools`."""
        return "llama3_json" if "tools" in abilities else ""

    def container(self, plan: Plan, deployment: LlamaDeployment) -> Container:
        """The container that serves the plan. Pure: same input, same bytes."""
        return Container(
            image=plan.image,
            args=(*_arguments(plan, deployment), *deployment.spec.engine.extra_args),
            env=_environment(plan, deployment),
            scratch=(
                Scratch("cache", CACHE_PATH, "", plan.host.disk_bytes),
                Scratch("home", HOME_PATH, "", HOME_LIMIT_BYTES),
                Scratch("tmp", TEMPORARY_PATH, "", TEMPORARY_LIMIT_BYTES),
                Scratch("shm", SHM_PATH, "Memory", plan.host.shm_bytes),
            ),
            port=PORT,
            startup=_health(
                period_seconds=STARTUP_PERIOD_SECONDS,
                timeout_seconds=5,
                failure_threshold=max(1, ceil_div(plan.startup_seconds, STARTUP_PERIOD_SECONDS)),
            ),
            readiness=_health(period_seconds=5, timeout_seconds=5, failure_threshold=3),
            # An engine whose core died ends by itself: this is for one that hangs, and a long
            # prefill or tokenisation must never look like that.
            liveness=_health(period_seconds=15, timeout_seconds=10, failure_threshold=8),
            user_id=USER_ID,
            group_id=GROUP_ID,
            pre_stop_seconds=PRE_STOP_SECONDS,
            drain_seconds=DRAIN_SECONDS,
            termination_grace_period_seconds=PRE_STOP_SECONDS + DRAIN_SECONDS + EXIT_SECONDS,
        )

    def metric_names(self) -> Sequence[str]:
        """Names of the metrics that tell load and memory."""
        return METRIC_NAMES


def _arguments(plan: Plan, deployment: LlamaDeployment) -> Iterator[str]:
    """Arguments of `vllm serve`, in a fixed order, the user's own left out."""
    yield plan.repository
    # The only argument of several words: the next one begins with dashes and so ends the list.
    # In the form --served-model-name=A the parser would take A alone.
    yield "--served-model-name"
    yield from deployment.spec.served_model_names or [deployment.metadata.name]
    yield "--host=0.0.0.0"
    yield f"--port={PORT}"
    yield f"--tensor-parallel-size={plan.tensor_parallel_size}"
    if plan.pipeline_parallel_size > 1:
        yield f"--pipeline-parallel-size={plan.pipeline_parallel_size}"
    yield f"--max-model-len={plan.max_model_len}"
    yield f"--gpu-memory-utilization={_fraction(plan.utilization_percent)}"
    yield f"--max-num-seqs={plan.max_num_seqs}"
    yield f"--max-num-batched-tokens={plan.max_num_batched_tokens}"
    yield f"--kv-cache-dtype={plan.kv_cache_dtype}"
    if plan.dtype != "auto":
        yield f"--dtype={plan.dtype}"
    if plan.cuda_graphs == CudaGraphs.DISABLED:
        yield "--enforce-eager"
    yield from _scheme_arguments(_SCHEMES.get(plan.scheme))
    yield f"--shutdown-timeout={DRAIN_SECONDS}"
    yield "--disable-access-log-for-endpoints=/health,/metrics"
    if plan.tool_call_parser:
        yield "--enable-auto-tool-choice"
        yield f"--tool-call-parser={plan.tool_call_parser}"


def _scheme_arguments(row: LoadableScheme | None) -> tuple[str, ...]:
    return () if row is None else row.arguments


def _environment(plan: Plan, deployment: LlamaDeployment) -> tuple[EnvVar, ...]:
    """Our variables, then the user's, whose value wins; no name twice.

    The API server merges this list by name and refuses duplicates.
    """
    variables = {variable.name: variable for variable in _own_environment(plan, deployment)}
    for user in deployment.spec.engine.env:
        variables.pop(user.name, None)
        variables[user.name] = EnvVar(user.name, value=user.value)
    return tuple(variables.values())


def _own_environment(plan: Plan, deployment: LlamaDeployment) -> Iterator[EnvVar]:
    cache = f"{HOME_PATH}/.cache"
    yield EnvVar("HOME", HOME_PATH)
    yield EnvVar("USER", USER)
    yield EnvVar("LOGNAME", USER)
    yield EnvVar("TMPDIR", TEMPORARY_PATH)
    yield EnvVar("XDG_CACHE_HOME", cache)
    yield EnvVar("XDG_CONFIG_HOME", f"{HOME_PATH}/.config")
    yield EnvVar("XDG_DATA_HOME", f"{HOME_PATH}/.local/share")
    yield EnvVar("TRITON_CACHE_DIR", f"{cache}/triton")
    yield EnvVar("TORCHINDUCTOR_CACHE_DIR", f"{cache}/torchinductor")
    yield EnvVar("NUMBA_CACHE_DIR", f"{cache}/numba")
    yield EnvVar("VLLM_CACHE_ROOT", f"{cache}/vllm")
    yield EnvVar("HF_HOME", f"{CACHE_PATH}/huggingface")
    from_model_scope = plan.hub == Hub.MODEL_SCOPE
    if from_model_scope:
        yield EnvVar("VLLM_USE_MODELSCOPE", "1")
        yield EnvVar("MODELSCOPE_CACHE", f"{CACHE_PATH}/modelscope")
    # vLLM gives up by itself after this time, whatever the startup probe allows.
    yield EnvVar("VLLM_ENGINE_READY_TIMEOUT_S", str(plan.startup_seconds))
    yield EnvVar("VLLM_NO_USAGE_STATS", "1")
    yield EnvVar("DO_NOT_TRACK", "1")
    reference = deployment.spec.token_secret_ref
    if reference is not None:
        yield EnvVar(
            "MODELSCOPE_API_TOKEN" if from_model_scope else "HF_TOKEN",
            secret_name=reference.name,
            secret_key=reference.key,
        )


def _health(*, period_seconds: int, timeout_seconds: int, failure_threshold: int) -> HttpProbe:
    """`/health` is refused while the model loads, 200 when it serves, 503 when the engine died."""
    return HttpProbe(
        path="/health",
        period_seconds=period_seconds,
        timeout_seconds=timeout_seconds,
        failure_threshold=failure_threshold,
    )


def _fraction(percent: int) -> str:
    """A percentage as a fraction with two digits: 92 becomes 0.92."""
    return f"{percent // 100}.{percent % 100:02d}"


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"


def _loaded() -> list[str]:
    return sorted(name for name, row in _SCHEMES.items() if row.min_compute_capability)
