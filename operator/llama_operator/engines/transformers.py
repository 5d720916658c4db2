"""Transformers: arguments, environment, probes and graceful end of `transformers serve`.

Facts are those of transformers 5.23.0, read in its source; options from there (tests/captures). The
image is this project's own (images/transformers), whose entrypoint is `transformers`.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.enums import EngineType
from llama_operator.api.names import PORT
from llama_operator.api.plan import Plan
from llama_operator.engines.arguments import Names
from llama_operator.engines.containers import (
    EXIT_SECONDS,
    HUGGING_FACE_PATH,
    PRE_STOP_SECONDS,
    STARTUP_PERIOD_SECONDS,
    USER_ID,
    cache_folder,
    environment,
    health,
    home_folder,
    hub_token,
    no_telemetry,
    offline,
    shared_memory,
    startup_failures,
    temporary_folder,
    user_environment,
)
from llama_operator.engines.engine import Container, EnvVar
from llama_operator.engines.loading import plan_arguments

USER: Final = "transformers"
HOME_PATH: Final = "/home/transformers"
DRAIN_SECONDS: Final = 80
"""After SIGTERM uvicorn waits for running requests without a bound."""


class Transformers:
    """The engine Transformers."""

    name: str = EngineType.TRANSFORMERS.value

    def tool_call_parser(self, abilities: Collection[str]) -> str:
        """None is named: calls of tools are built in."""
        del abilities
        return ""

    def container(self, plan: Plan, deployment: LlamaDeployment) -> Container:
        """The container that serves the plan. Pure: same input, same bytes."""
        return Container(
            image=plan.image,
            command=(),
            args=(*_arguments(plan), *deployment.spec.engine.extra_args),
            env=environment(_environment(plan, deployment), deployment),
            scratch=(
                *cache_folder(plan),
                home_folder(HOME_PATH),
                temporary_folder(),
                shared_memory(plan),
            ),
            port=PORT,
            # Refused while the model loads, which it does before it listens.
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
            drain_seconds=DRAIN_SECONDS,
            termination_grace_period_seconds=PRE_STOP_SECONDS + DRAIN_SECONDS + EXIT_SECONDS,
        )

    def metric_names(self) -> Sequence[str]:
        """It has none."""
        return ()


def _arguments(plan: Plan) -> Iterator[str]:
    """Arguments of `transformers`, in a fixed order, the user's own left out."""
    names = Names.of(plan)
    yield "serve"
    yield plan.repository
    yield names.joined("host", "0.0.0.0")  # noqa: S104 - inside the pod
    yield names.joined("port", PORT)
    yield names.joined("device", "auto")
    yield names.joined("dtype", plan.dtype)
    yield from plan_arguments(plan)


def _environment(plan: Plan, deployment: LlamaDeployment) -> Iterator[EnvVar]:
    yield from user_environment(USER, HOME_PATH)
    yield EnvVar("HF_HOME", HUGGING_FACE_PATH)
    yield from offline(plan)
    yield from no_telemetry(plan)
    yield from hub_token(plan, deployment)
