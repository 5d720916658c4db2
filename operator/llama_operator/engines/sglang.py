"""SGLang: arguments, environment, probes and graceful end of `sglang.launch_server`.

Facts are those of SGLang 0.5.23: flags from its declarations (tests/captures), the rest from its
source. Its image has no entrypoint that serves.
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
    USER_ID,
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
    secret_arguments,
)
from llama_operator.engines.loading import plan_arguments

COMMAND: Final = ("python3", "-m", "sglang.launch_server")
USER: Final = "sglang"
HOME_PATH: Final = "/home/sglang"
DRAIN_SECONDS: Final = 80
"""After SIGTERM it waits for running requests without a bound of its own."""
KV_CACHE_DTYPES: Final = {"auto": "auto", "fp8": "fp8_e4m3"}
METRIC_NAMES: Final = (
    "sglang:num_running_reqs",
    "sglang:num_queue_reqs",
    "sglang:token_usage",
    "sglang:num_retracted_reqs",
    "sglang:gen_throughput",
    "sglang:time_to_first_token_seconds",
    "sglang:inter_token_latency_seconds",
    "sglang:e2e_request_latency_seconds",
    "sglang:queue_time_seconds",
    "sglang:weight_memory_usage_gb",
    "sglang:kv_cache_memory_usage_gb",
    "sglang:graph_memory_usage_gb",
    "sglang:max_total_num_tokens",
)
"""Load first, then memory in GiB."""


class SGLang:
    """The engine SGLang."""

    name: str = EngineType.SGLANG.value

    def tool_call_parser(self, abilities: Collection[str]) -> str:
        """Parser of tool calls for a Llama 3.1 model; empty when it has no ability `tools`."""
        return "llama3" if "tools" in abilities else ""

    def container(self, plan: Plan, deployment: LlamaDeployment) -> Container:
        """The container that serves the plan. Pure: same input, same bytes."""
        return Container(
            image=plan.image,
            command=COMMAND,
            args=(*_arguments(plan, deployment), *deployment.spec.engine.extra_args),
            env=environment(_environment(plan, deployment), deployment),
            scratch=(
                *cache_folder(plan),
                home_folder(HOME_PATH),
                temporary_folder(),
                shared_memory(plan),
            ),
            port=PORT,
            # Refused while the model loads, 503 until the warm-up request is answered.
            startup=health(
                "/ready",
                period=STARTUP_PERIOD_SECONDS,
                timeout=5,
                failures=startup_failures(plan),
            ),
            readiness=health("/ready", period=5, timeout=5, failures=3),
            # Answers without generating (see the environment); SGLang's own watchdog ends a
            # scheduler that hangs for 300 s.
            liveness=health("/health", period=15, timeout=10, failures=8),
            user_id=USER_ID,
            group_id=0,
            read_only_root=True,
            shared_process_namespace=True,
            pre_stop_seconds=PRE_STOP_SECONDS,
            drain_seconds=DRAIN_SECONDS,
            termination_grace_period_seconds=PRE_STOP_SECONDS + DRAIN_SECONDS + EXIT_SECONDS,
            secret_args=secret_arguments(plan, deployment),
            files=feature_files(deployment),
            https=deployment.spec.tls is not None,
        )

    def metric_names(self) -> Sequence[str]:
        """Names of the metrics that tell load and memory."""
        return METRIC_NAMES


def _arguments(plan: Plan, deployment: LlamaDeployment) -> Iterator[str]:
    """Arguments of the server, in a fixed order, the user's own left out."""
    names = Names.of(plan)
    yield names.joined("model", plan.repository)
    yield names.joined("served_model_name", served_names(deployment)[0])
    yield names.joined("host", "0.0.0.0")  # noqa: S104 - inside the pod
    yield names.joined("port", PORT)
    yield names.joined("tensor_parallel_size", plan.tensor_parallel_size)
    if plan.pipeline_parallel_size > 1:
        yield names.joined("pipeline_parallel_size", plan.pipeline_parallel_size)
    yield names.joined("max_model_len", plan.max_model_len)
    yield names.joined("utilization", fraction(plan.utilization_percent))
    yield names.joined("max_num_seqs", plan.max_num_seqs)
    yield names.joined("max_num_batched_tokens", plan.max_num_batched_tokens)
    yield names.joined("kv_cache_dtype", KV_CACHE_DTYPES[plan.kv_cache_dtype])
    if plan.dtype != "auto":
        yield names.joined("dtype", plan.dtype)
    if plan.cuda_graphs == CudaGraphs.DISABLED:
        yield names.joined("eager_decode", "disabled")
        yield names.joined("eager_prefill", "disabled")
    yield from plan_arguments(plan)
    yield names["metrics"]
    if plan.tool_call_parser:
        yield names.joined("tool_call_parser", plan.tool_call_parser)
    yield from adapter_arguments(plan, deployment)
    for name, value in feature_arguments(plan, deployment):
        yield f"{name}={value}" if value else name


def _environment(plan: Plan, deployment: LlamaDeployment) -> Iterator[EnvVar]:
    yield from user_environment(USER, HOME_PATH)
    yield EnvVar("SGLANG_CACHE_DIR", f"{HOME_PATH}/.cache/sglang")
    yield EnvVar("HF_HOME", HUGGING_FACE_PATH)
    yield from offline(plan)
    if asks_model_scope(plan):
        yield EnvVar("SGLANG_USE_MODELSCOPE", "true")
        yield EnvVar("MODELSCOPE_CACHE", f"{CACHE_PATH}/modelscope")
    # By default /health generates a token, which a busy engine does not do in time.
    yield EnvVar("SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION", "false")
    yield EnvVar("SGLANG_WARMUP_TIMEOUT", str(plan.startup_seconds))
    yield from no_telemetry(plan)
    yield from hub_token(plan, deployment)
    yield from feature_variables(plan, deployment)
