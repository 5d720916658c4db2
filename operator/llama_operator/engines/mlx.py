"""MLX: arguments, environment, probes and graceful end of `mlx_lm.server` on Linux.

Facts are those of mlx-lm 0.32.2, seen running on a CPU; flags from its own parser. The image is
this project's own (images/mlx-lm), whose entrypoint is `mlx_lm.server`.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.enums import EngineType
from llama_operator.api.names import PORT
from llama_operator.api.plan import Plan
from llama_operator.engines.arguments import Names
from llama_operator.engines.containers import (
    HUGGING_FACE_PATH,
    STARTUP_PERIOD_SECONDS,
    USER_ID,
    cache_folder,
    environment,
    health,
    home_folder,
    hub_token,
    no_telemetry,
    offline,
    startup_failures,
    temporary_folder,
    user_environment,
)
from llama_operator.engines.engine import Container, EnvVar, ExecProbe
from llama_operator.engines.features import feature_arguments

USER: Final = "mlx"
HOME_PATH: Final = "/home/mlx"
PRE_STOP_SECONDS: Final = 60
"""Wait before SIGTERM, which ends every answer at once: the longest answer that a pod finishes."""
EXIT_SECONDS: Final = 10
PROMPT_CACHES: Final = 1
"""Caches of finished requests that it keeps, 10 by default, beside what the plan counts
(ml-explore/mlx-lm#1390: out of memory)."""
NO_PROMPT_CACHE: Final = 0
"""With a draft model: a cache that is taken up again gives other answers than a new one, as seen
running, since it is kept before drafts that were refused are cut off it (server.py)."""
ANSWER_TIMEOUT_SECONDS: Final = STARTUP_PERIOD_SECONDS
"""While the model loads a request waits: a longer one would stretch the time to start."""
COMPLETION: Final = (
    "python3",
    "-c",
    "import json, urllib.request as r; "
    "r.build_opener(r.ProxyHandler({})).open("
    f"r.Request('http://127.0.0.1:{PORT}/v1/completions', "
    "json.dumps({'prompt': 'a', 'max_tokens': 1}).encode(), "
    "{'Content-Type': 'application/json'}), "
    f"timeout={ANSWER_TIMEOUT_SECONDS}).read()",
)
"""Asks for one token: its /health answers 200 while the model still loads. A proxy that the user's
environment names is for downloads."""


class MLX:
    """The engine MLX."""

    name: str = EngineType.MLX.value

    def tool_call_parser(self, abilities: Collection[str]) -> str:
        """None is named: calls of tools are built in."""
        del abilities
        return ""

    def container(self, plan: Plan, deployment: LlamaDeployment) -> Container:
        """The container that serves the plan. Pure: same input, same bytes."""
        return Container(
            image=plan.image,
            command=(),
            args=(*_arguments(plan, deployment), *deployment.spec.engine.extra_args),
            env=environment(_environment(plan, deployment), deployment),
            scratch=(*cache_folder(plan), home_folder(HOME_PATH), temporary_folder()),
            port=PORT,
            startup=ExecProbe(
                command=COMPLETION,
                period_seconds=STARTUP_PERIOD_SECONDS,
                timeout_seconds=ANSWER_TIMEOUT_SECONDS,
                failure_threshold=startup_failures(plan),
            ),
            readiness=health("/health", period=5, timeout=5, failures=3),
            liveness=health("/health", period=15, timeout=10, failures=8),
            user_id=USER_ID,
            group_id=USER_ID,
            read_only_root=True,
            # As process number 1 it ignores SIGTERM.
            shared_process_namespace=True,
            pre_stop_seconds=PRE_STOP_SECONDS,
            drain_seconds=0,
            termination_grace_period_seconds=PRE_STOP_SECONDS + EXIT_SECONDS,
        )

    def metric_names(self) -> Sequence[str]:
        """It has none."""
        return ()


def _arguments(plan: Plan, deployment: LlamaDeployment) -> Iterator[str]:
    """Arguments of the server, in a fixed order, the user's own left out."""
    names = Names.of(plan)
    yield names.joined("model", plan.repository)
    yield names.joined("host", "0.0.0.0")  # noqa: S104 - inside the pod
    yield names.joined("port", PORT)
    yield names.joined("max_num_seqs", plan.max_num_seqs)
    yield names.joined("max_num_batched_tokens", plan.max_num_batched_tokens)
    yield names.joined("prompt_caches", PROMPT_CACHES if plan.draft is None else NO_PROMPT_CACHE)
    for name, value in feature_arguments(plan, deployment):
        yield f"{name}={value}"


def _environment(plan: Plan, deployment: LlamaDeployment) -> Iterator[EnvVar]:
    yield from user_environment(USER, HOME_PATH)
    yield EnvVar("HF_HOME", HUGGING_FACE_PATH)
    yield from offline(plan)
    yield from no_telemetry(plan)
    yield from hub_token(plan, deployment)
