"""TGI (text-generation-inference): environment, probes and graceful end of its launcher.

Every option of the launcher is an environment variable too. An argument that it does not know ends
it, and its image hands arguments on unquoted, so that nothing but the environment is safe. Options
by version: tests/captures.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.enums import EngineType
from llama_operator.api.names import PORT
from llama_operator.api.plan import CudaGraphs, Plan
from llama_operator.catalog.versions import version_numbers
from llama_operator.engines.arguments import Names
from llama_operator.engines.containers import (
    EXIT_SECONDS,
    HUGGING_FACE_PATH,
    PRE_STOP_SECONDS,
    STARTUP_PERIOD_SECONDS,
    cache_folder,
    environment,
    fraction,
    health,
    hub_token,
    no_telemetry,
    offline,
    shared_memory,
    startup_failures,
    temporary_folder,
)
from llama_operator.engines.engine import Container, EnvVar
from llama_operator.engines.features import feature_variables
from llama_operator.engines.loading import plan_arguments

ROOT_ID: Final = 0
"""Its Python lies below /root, and its entrypoint writes /etc/ld.so.cache: it runs as root alone
(huggingface/text-generation-inference#3082)."""
DRAIN_SECONDS: Final = 80
DRAIN_BEFORE_3_SECONDS: Final = 90
"""Version 2 waits for running requests that long, whatever it is told."""
KV_CACHE_DTYPES: Final = {"fp8": "fp8_e4m3fn"}
METRIC_NAMES: Final = (
    "tgi_queue_size",
    "tgi_batch_current_size",
    "tgi_batch_current_max_tokens",
    "tgi_batch_max_total_tokens",
    "tgi_request_count",
    "tgi_request_success",
    "tgi_request_failure",
    "tgi_request_duration",
    "tgi_request_queue_duration",
    "tgi_request_mean_time_per_token_duration",
)
"""Series appear with the first request; none tells the time to the first token or use of the KV
cache."""


class TGI:
    """The engine TGI."""

    name: str = EngineType.TGI.value

    def tool_call_parser(self, abilities: Collection[str]) -> str:
        """None is named: calls of tools are built in."""
        del abilities
        return ""

    def container(self, plan: Plan, deployment: LlamaDeployment) -> Container:
        """The container that serves the plan. Pure: same input, same bytes."""
        drain = DRAIN_SECONDS if _has_graceful_timeout(plan) else DRAIN_BEFORE_3_SECONDS
        return Container(
            image=plan.image,
            command=(),
            args=tuple(deployment.spec.engine.extra_args),
            env=environment(_environment(plan, deployment), deployment),
            scratch=(*cache_folder(plan), temporary_folder(), shared_memory(plan)),
            port=PORT,
            # Refused until the shards are ready, 503 when one of them does not answer.
            startup=health(
                "/health",
                period=STARTUP_PERIOD_SECONDS,
                timeout=5,
                failures=startup_failures(plan),
            ),
            readiness=health("/health", period=5, timeout=5, failures=3),
            liveness=health("/health", period=15, timeout=10, failures=8),
            user_id=ROOT_ID,
            group_id=ROOT_ID,
            read_only_root=False,
            shared_process_namespace=False,
            pre_stop_seconds=PRE_STOP_SECONDS,
            drain_seconds=drain,
            termination_grace_period_seconds=PRE_STOP_SECONDS + drain + EXIT_SECONDS,
        )

    def metric_names(self) -> Sequence[str]:
        """Names of the metrics that tell load."""
        return METRIC_NAMES


def _has_graceful_timeout(plan: Plan) -> bool:
    return version_numbers(plan.engine_version) >= (3, 0)


def _environment(plan: Plan, deployment: LlamaDeployment) -> Iterator[EnvVar]:
    names = Names.of(plan)
    newer = _has_graceful_timeout(plan)
    yield EnvVar(names["model"], plan.repository)
    # Kubernetes sets HOSTNAME to the pod's name, which the launcher would listen on.
    yield EnvVar(names["host"], "0.0.0.0")  # noqa: S104 - inside the pod
    yield EnvVar(names["port"], str(PORT))
    yield EnvVar(names["tensor_parallel_size"], str(plan.tensor_parallel_size))
    yield EnvVar(names["max_model_len"], str(plan.max_model_len))
    yield EnvVar(names["max_input_tokens"], str(plan.max_model_len - 1))
    yield EnvVar(names["max_num_batched_tokens"], str(plan.max_num_batched_tokens))
    yield EnvVar(names["max_num_seqs"], str(plan.max_num_seqs))
    yield EnvVar(names["utilization"], fraction(plan.utilization_percent))
    quantization = plan_arguments(plan)
    if plan.dtype != "auto" and not quantization:
        yield EnvVar(names["dtype"], plan.dtype)
    for name, _, value in (argument.partition("=") for argument in quantization):
        yield EnvVar(name, value)
    if plan.kv_cache_dtype in KV_CACHE_DTYPES:
        yield EnvVar(names["kv_cache_dtype"], KV_CACHE_DTYPES[plan.kv_cache_dtype])
    if plan.cuda_graphs == CudaGraphs.DISABLED:
        yield EnvVar(names["eager"], "0")
    if newer:
        yield EnvVar(names["shutdown_timeout"], str(DRAIN_SECONDS))
        yield EnvVar("HF_HOME", HUGGING_FACE_PATH)
    else:
        hub = f"{HUGGING_FACE_PATH}/hub" if plan.cached else HUGGING_FACE_PATH
        yield EnvVar("HUGGINGFACE_HUB_CACHE", hub)
    yield from offline(plan)
    yield from no_telemetry(plan)
    yield from hub_token(plan, deployment)
    yield from feature_variables(plan, deployment)
