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
class ExecProbe:
    """A probe by a command inside the container; times in seconds."""

    command: tuple[str, ...]
    period_seconds: int
    timeout_seconds: int
    failure_threshold: int


Probe = HttpProbe | ExecProbe


@dataclass(frozen=True, slots=True)
class EnvVar:
    """One environment variable: a literal value, or a key of a Secret."""

    name: str
    value: str = ""
    secret_name: str = ""
    secret_key: str = ""


@dataclass(frozen=True, slots=True)
class SecretArgument:
    """An argument whose value is a variable of the container, from a Secret.

    For engines that read it from nowhere else: the kubelet puts the value into the command line of
    the process, while the object and its record hold the variable's name alone.
    """

    name: str
    variable: str

    @property
    def text(self) -> str:
        """The argument as the kubelet expands it."""
        return f"{self.name}=$({self.variable})"


@dataclass(frozen=True, slots=True)
class Files:
    """Files of a Secret or a ConfigMap in a folder that is read-only.

    `files` are pairs of a key and the name of its file; one of the two names is empty.
    """

    name: str
    path: str
    files: tuple[tuple[str, str], ...]
    secret_name: str = ""
    config_map_name: str = ""


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

    Attributes:
        image: reference with tag or digest.
        command: argv of the program; empty for the image's entrypoint.
        args: argv elements after it, never a shell line.
        env: environment, no name twice.
        scratch: writable folders.
        port: of the API, and of the metrics where the engine has some.
        startup: succeeds once the model is loaded.
        readiness: whether it answers now.
        liveness: fails for an engine that hangs, never for a busy one.
        user_id: of the process; 0 where the image runs as root alone.
        group_id: of the process.
        read_only_root: whether nothing outside the folders is written.
        shared_process_namespace: whether the pod's pause process is number 1 instead of the engine,
            for one that as number 1 would ignore signals.
        pre_stop_seconds: wait before SIGTERM until endpoints have gone.
        drain_seconds: how long requests may finish after SIGTERM.
        termination_grace_period_seconds: until SIGKILL, both of these included.
        secret_args: argv elements after `args` with a value from a Secret.
        place_args: argv elements after these, in which the kubelet puts variables, `$(NAME)`.
        files: folders with files of Secrets and ConfigMaps.
        https: whether the port and the HTTP probes speak TLS.
    """

    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[EnvVar, ...]
    scratch: tuple[Scratch, ...]
    port: int
    startup: Probe
    readiness: Probe
    liveness: Probe
    user_id: int
    group_id: int
    read_only_root: bool
    shared_process_namespace: bool
    pre_stop_seconds: int
    drain_seconds: int
    termination_grace_period_seconds: int
    secret_args: tuple[SecretArgument, ...] = ()
    place_args: tuple[str, ...] = ()
    files: tuple[Files, ...] = ()
    https: bool = False


class Engine(Protocol):
    """One serving engine.

    What it loads, takes, cannot do and tells of its memory is in the catalog, by version.
    """

    name: str

    def tool_call_parser(self, abilities: Collection[str]) -> str:
        """Parser of tool calls for a model with these abilities; empty when none is named."""
        ...

    def container(self, plan: Plan, deployment: LlamaDeployment) -> Container:
        """The container that serves the plan. Pure: same input, same bytes."""
        ...

    def metric_names(self) -> Sequence[str]:
        """Names of the metrics that tell load and memory; empty when it has none."""
        ...
