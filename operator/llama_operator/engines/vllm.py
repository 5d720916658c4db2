"""vLLM: arguments, environment, probes and graceful end of `vllm serve`.

Facts are those of vLLM 0.33.0 and its image, whose entrypoint is `vllm serve`: flags from its own
parser (tests/captures), the rest from its source unless a docstring says otherwise.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.enums import EngineType
from llama_operator.api.names import PORT
from llama_operator.api.plan import CudaGraphs, Plan
from llama_operator.engines.arguments import Names
from llama_operator.engines.containers import (
    CACHE_PATH,
    EXIT_SECONDS,
    HUGGING_FACE_PATH,
    PRE_STOP_SECONDS,
    STARTUP_PERIOD_SECONDS,
    asks_model_scope,
    cache_folder,
    environment,
    fraction,
    health,
    home_folder,
    hub_token,
    no_telemetry,
    offline,
    served_names,
    shared_memory,
    startup_failures,
    temporary_folder,
    user_environment,
)
from llama_operator.engines.engine import Container, EnvVar
from llama_operator.engines.features import (
    adapter_arguments,
    feature_arguments,
    feature_files,
    feature_variables,
)
from llama_operator.engines.loading import plan_arguments

USER: Final = "vllm"
"""User of the image: UID 2000, GID 0."""
USER_ID: Final = 2000
GROUP_ID: Final = 0
HOME_PATH: Final = "/home/vllm"
DRAIN_SECONDS: Final = 80
"""Time for running requests after SIGTERM. Without `--shutdown-timeout` vLLM aborts them."""
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


class VLLM:
    """The engine vLLM."""

    name: str = EngineType.VLLM.value

    def tool_call_parser(self, abilities: Collection[str]) -> str:
        """Parser of tool calls for a Llama 3.1 model; empty when it has no ability `tools`."""
        return "llama3_json" if "tools" in abilities else ""

    def container(self, plan: Plan, deployment: LlamaDeployment) -> Container:
        """The container that serves the plan. Pure: same input, same bytes."""
        return Container(
            image=plan.image,
            command=(),
            args=(*_arguments(plan, deployment), *deployment.spec.engine.extra_args),
            env=environment(_environment(plan, deployment), deployment),
            scratch=(
                *cache_folder(plan),
                home_folder(HOME_PATH),
                temporary_folder(),
                shared_memory(plan),
            ),
            port=PORT,
            # Refused while the model loads, 200 when it serves, 503 when the engine died.
            startup=health(
                "/health",
                period=STARTUP_PERIOD_SECONDS,
                timeout=5,
                failures=startup_failures(plan),
            ),
            readiness=health("/health", period=5, timeout=5, failures=3),
            # An engine whose core died ends by itself: this is for one that hangs, and a long
            # prefill or tokenisation must never look like that.
            liveness=health("/health", period=15, timeout=10, failures=8),
            user_id=USER_ID,
            group_id=GROUP_ID,
            read_only_root=True,
            shared_process_namespace=False,
            pre_stop_seconds=PRE_STOP_SECONDS,
            drain_seconds=DRAIN_SECONDS,
            termination_grace_period_seconds=PRE_STOP_SECONDS + DRAIN_SECONDS + EXIT_SECONDS,
            files=feature_files(deployment),
            https=deployment.spec.tls is not None,
        )

    def metric_names(self) -> Sequence[str]:
        """Names of the metrics that tell load and memory."""
        return METRIC_NAMES


def _arguments(plan: Plan, deployment: LlamaDeployment) -> Iterator[str]:
    """Arguments of `vllm serve`, in a fixed order, the user's own left out."""
    names = Names.of(plan)
    yield plan.repository
    # The only argument of several words: the next one begins with dashes and so ends the list.
    # In the form --served-model-name=A the parser would take A alone.
    yield names["served_model_name"]
    yield from served_names(deployment)
    yield names.joined("host", "0.0.0.0")  # noqa: S104 - inside the pod
    yield names.joined("port", PORT)
    yield names.joined("tensor_parallel_size", plan.tensor_parallel_size)
    if plan.pipeline_parallel_size > 1:
        yield names.joined("pipeline_parallel_size", plan.pipeline_parallel_size)
    yield names.joined("max_model_len", plan.max_model_len)
    yield names.joined("utilization", fraction(plan.utilization_percent))
    yield names.joined("max_num_seqs", plan.max_num_seqs)
    yield names.joined("max_num_batched_tokens", plan.max_num_batched_tokens)
    yield names.joined("kv_cache_dtype", plan.kv_cache_dtype)
    if plan.dtype != "auto":
        yield names.joined("dtype", plan.dtype)
    if plan.cuda_graphs == CudaGraphs.DISABLED:
        yield names["eager"]
    yield from plan_arguments(plan)
    yield names.joined("shutdown_timeout", DRAIN_SECONDS)
    yield names.joined("quiet_endpoints", "/health,/metrics")
    if plan.tool_call_parser:
        yield names["auto_tool_choice"]
        yield names.joined("tool_call_parser", plan.tool_call_parser)
    yield from adapter_arguments(plan, deployment)
    for name, value in feature_arguments(plan, deployment):
        yield f"{name}={value}" if value else name


def _environment(plan: Plan, deployment: LlamaDeployment) -> Iterator[EnvVar]:
    yield from user_environment(USER, HOME_PATH)
    yield EnvVar("VLLM_CACHE_ROOT", f"{HOME_PATH}/.cache/vllm")
    yield EnvVar("HF_HOME", HUGGING_FACE_PATH)
    yield from offline(plan)
    if asks_model_scope(plan):
        yield EnvVar("VLLM_USE_MODELSCOPE", "1")
        yield EnvVar("MODELSCOPE_CACHE", f"{CACHE_PATH}/modelscope")
    # vLLM gives up by itself after this time, whatever the startup probe allows.
    yield EnvVar("VLLM_ENGINE_READY_TIMEOUT_S", str(plan.startup_seconds))
    yield from no_telemetry(plan)
    yield from hub_token(plan, deployment)
    yield from feature_variables(plan, deployment)
