"""What every engine answers, as one interface."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import Plan


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """An HTTP GET probe; times in seconds."""

    path: str
    period_seconds: int
    timeout_seconds: int
    failure_threshold: int


@dataclass(frozen=True, slots=True)
class EnvVar:
    """One environment variable: a literal value, or a key of a Secret."""

    name: str
    value: str = ""
    secret_name: str = ""
    secret_key: str = ""


@dataclass(frozen=True, slots=True)
class Scratch:
    """A writable folder of the container; `medium` is empty for disk, `Memory` for RAM."""

    name: str
    path: str
    medium: str
    size_limit_bytes: int


@dataclass(frozen=True, slots=True)
class Container:
    """The engine's container: what to run and how it is probed and ended.

    `args` are argv elements, never a shell line. `drain_seconds`: how long requests may finish
    after SIGTERM; `pre_stop_seconds`: wait before SIGTERM until endpoints have gone.
    """

    image: str
    args: tuple[str, ...]
    env: tuple[EnvVar, ...]
    scratch: tuple[Scratch, ...]
    port: int
    startup: HttpProbe
    readiness: HttpProbe
    liveness: HttpProbe
    user_id: int
    group_id: int
    pre_stop_seconds: int
    drain_seconds: int
    termination_grace_period_seconds: int


class Engine(Protocol):
    """One serving engine."""

    name: str

    def refusal(self, scheme: str, compute_capability: tuple[int, int] | None) -> str | None:
        """Why this engine cannot load the scheme on such a GPU; None when it can."""
        ...

    def tool_call_parser(self, abilities: Collection[str]) -> str:
        """Parser of tool calls for a model with these abilities; empty when there is none."""
        ...

    def container(self, plan: Plan, deployment: LlamaDeployment) -> Container:
        """The container that serves the plan. Pure: same input, same bytes."""
        ...

    def metric_names(self) -> Sequence[str]:
        """Names of the metrics that tell load and memory."""
        ...
