"""llama.cpp: arguments, environment, probes and graceful end of `llama-server`.

Facts are those of b11434, seen running or read in its source; flags from its own help
(tests/captures). Its parser takes a flag and its value as two words.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.enums import EngineType
from llama_operator.api.names import PORT
from llama_operator.api.plan import Plan
from llama_operator.engines.arguments import Names
from llama_operator.engines.containers import (
    CACHE_PATH,
    HUGGING_FACE_PATH,
    STARTUP_PERIOD_SECONDS,
    TEMPORARY_PATH,
    USER_ID,
    asks_model_scope,
    cache_folder,
    environment,
    health,
    hub_token,
    served_names,
    startup_failures,
    temporary_folder,
)
from llama_operator.engines.engine import Container, EnvVar
from llama_operator.engines.features import (
    feature_arguments,
    feature_files,
    feature_variables,
)

PRE_STOP_SECONDS: Final = 60
"""Wait before SIGTERM, which ends every answer at once: the longest answer that a pod finishes."""
EXIT_SECONDS: Final = 10
"""With an answer under way it often hangs after SIGTERM until it is killed."""
BATCH_TOKENS: Final = 2048
"""Tokens of a logical batch by default, which is cut into micro-batches."""
VERBOSITY: Final = 4
"""The least that prints the sizes of its buffers."""
MODEL_SCOPE_ENDPOINT: Final = "https://modelscope.cn/"
METRIC_NAMES: Final = (
    "llamacpp:requests_processing",
    "llamacpp:requests_deferred",
    "llamacpp:n_busy_slots_per_decode",
    "llamacpp:prompt_tokens_total",
    "llamacpp:prompt_tokens_seconds",
    "llamacpp:tokens_predicted_total",
    "llamacpp:predicted_tokens_seconds",
)
"""None tells the time to the first token or use of the KV cache."""


class LlamaCpp:
    """The engine llama.cpp."""

    name: str = EngineType.LLAMA_CPP.value

    def tool_call_parser(self, abilities: Collection[str]) -> str:
        """None is named: it follows the chat template."""
        del abilities
        return ""

    def container(self, plan: Plan, deployment: LlamaDeployment) -> Container:
        """The container that serves the plan. Pure: same input, same bytes."""
        return Container(
            image=plan.image,
            command=(),
            args=(*_arguments(plan, deployment), *deployment.spec.engine.extra_args),
            env=environment(_environment(plan, deployment), deployment),
            scratch=(*cache_folder(plan), temporary_folder()),
            port=PORT,
            # Refused at first, 503 while the model loads.
            startup=health(
                "/health",
                period=STARTUP_PERIOD_SECONDS,
                timeout=5,
                failures=startup_failures(plan),
            ),
            readiness=health("/health", period=5, timeout=5, failures=3),
            liveness=health("/health", period=15, timeout=10, failures=8),
            user_id=USER_ID,
            group_id=USER_ID,
            read_only_root=True,
            shared_process_namespace=True,
            pre_stop_seconds=PRE_STOP_SECONDS,
            drain_seconds=0,
            termination_grace_period_seconds=PRE_STOP_SECONDS + EXIT_SECONDS,
            files=feature_files(deployment),
            https=deployment.spec.tls is not None,
        )

    def metric_names(self) -> Sequence[str]:
        """Names of the metrics that tell load."""
        return METRIC_NAMES


def _arguments(plan: Plan, deployment: LlamaDeployment) -> Iterator[str]:
    """Arguments of the server, in a fixed order, the user's own left out."""
    names = Names.of(plan)
    yield from (names["repository"], plan.repository)
    yield from (names["file"], plan.file)
    if plan.cached:
        yield names["offline"]
    yield from (names["served_model_name"], ",".join(served_names(deployment)))
    yield from (names["host"], "0.0.0.0")  # noqa: S104 - inside the pod
    yield from (names["port"], str(PORT))
    # The context is of all slots together, each of which gets an equal part.
    yield from (names["max_model_len"], str(plan.max_model_len * plan.max_num_seqs))
    yield from (names["max_num_seqs"], str(plan.max_num_seqs))
    yield from (names["batch"], str(max(BATCH_TOKENS, plan.max_num_batched_tokens)))
    yield from (names["max_num_batched_tokens"], str(plan.max_num_batched_tokens))
    layers = "all" if plan.gpu_layers is None else str(plan.gpu_layers)
    yield from (names["gpu_layers"], layers)
    # What was planned is taken as it is, instead of a context that it shrinks by itself.
    yield from (names["fit"], "off")
    yield from (names["flash_attention"], "on")
    if plan.kv_cache_dtype != "auto":
        yield from (names["kv_cache_dtype_keys"], plan.kv_cache_dtype)
        yield from (names["kv_cache_dtype_values"], plan.kv_cache_dtype)
    yield from (names["threads"], str(max(1, plan.host.cpu_millicores // 1000)))
    yield names["metrics"]
    yield from (names["verbosity"], str(VERBOSITY))
    for name, value in feature_arguments(plan, deployment):
        yield from (name, value) if value else (name,)


def _environment(plan: Plan, deployment: LlamaDeployment) -> Iterator[EnvVar]:
    yield EnvVar("HOME", TEMPORARY_PATH if plan.cached else CACHE_PATH)
    yield EnvVar("LLAMA_CACHE", f"{HUGGING_FACE_PATH}/hub" if plan.cached else CACHE_PATH)
    if asks_model_scope(plan):
        yield EnvVar("MODEL_ENDPOINT", MODEL_SCOPE_ENDPOINT)
    yield from hub_token(plan, deployment)
    yield from feature_variables(plan, deployment)
