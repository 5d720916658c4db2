"""What containers of several engines have in common: folders, environment, probes."""

from collections.abc import Iterable, Iterator
from typing import Final

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.enums import Hub
from llama_operator.api.plan import Plan
from llama_operator.catalog.engine_telemetry import telemetry_off
from llama_operator.catalog.versions import version_numbers
from llama_operator.engines.engine import EnvVar, HttpProbe, Scratch
from llama_operator.units import GIB, ceil_div

CACHE_PATH: Final = "/cache"
"""Downloaded model files, and nothing else: the plan sizes this folder by them."""
TEMPORARY_PATH: Final = "/tmp"  # noqa: S108 - a folder of the container, on a volume of its own
SHM_PATH: Final = "/dev/shm"  # noqa: S108 - a folder of the container, on a volume of its own
HOME_LIMIT_BYTES: Final = 8 * GIB
"""Bound of compile caches (torch.compile, Triton, FlashInfer), so that a runaway cache evicts one
pod instead of filling the node's disk. Generous: no size of these caches is published."""
TEMPORARY_LIMIT_BYTES: Final = 2 * GIB
"""Bound of /tmp, which holds Unix sockets and compiler scratch files."""
PRE_STOP_SECONDS: Final = 10
"""Wait before SIGTERM until endpoints have gone from every proxy."""
EXIT_SECONDS: Final = 30
"""Time to tear down worker processes after the drain."""
STARTUP_PERIOD_SECONDS: Final = 10
HUGGING_FACE_PATH: Final = f"{CACHE_PATH}/huggingface"
"""HF_HOME of engines, and where a prefetch puts models: whatever the hub, in one layout."""
ADAPTERS_FOLDER: Final = "adapters"
"""Beside `hub` in HF_HOME: a link to the files of each adapter, for engines that take folders."""
USER_ID: Final = 65532
"""User and group of images that run as anybody."""


def cache_folder(plan: Plan) -> tuple[Scratch, ...]:
    """The folder of downloaded files, as large as the plan says; none where a volume has them."""
    return () if plan.cached else (Scratch("cache", CACHE_PATH, "", plan.host.disk_bytes),)


def adapter_folder(repository: str) -> str:
    """Where a prefetch links the files of an adapter, below HF_HOME: `adapters/OWNER--NAME`."""
    return f"{ADAPTERS_FOLDER}/{repository.replace('/', '--')}"


def home_folder(path: str) -> Scratch:
    """The home of the engine's user, with its compile caches."""
    return Scratch("home", path, "", HOME_LIMIT_BYTES)


def temporary_folder() -> Scratch:
    """The folder of sockets and scratch files."""
    return Scratch("tmp", TEMPORARY_PATH, "", TEMPORARY_LIMIT_BYTES)


def shared_memory(plan: Plan) -> Scratch:
    """Shared memory of its processes, whose pages are charged to the pod."""
    return Scratch("shm", SHM_PATH, "Memory", plan.host.shm_bytes)


def health(path: str, *, period: int, timeout: int, failures: int) -> HttpProbe:
    """A GET probe; times in seconds."""
    return HttpProbe(
        path=path, period_seconds=period, timeout_seconds=timeout, failure_threshold=failures
    )


def startup_failures(plan: Plan) -> int:
    """Failures of a startup probe each 10 s until the plan's time to start is over."""
    return max(1, ceil_div(plan.startup_seconds, STARTUP_PERIOD_SECONDS))


def environment(own: Iterable[EnvVar], deployment: LlamaDeployment) -> tuple[EnvVar, ...]:
    """Our variables, then the user's, whose value wins; no name twice.

    The API server merges this list by name and refuses duplicates.
    """
    variables = {variable.name: variable for variable in own}
    for user in deployment.spec.engine.env:
        variables.pop(user.name, None)
        variables[user.name] = EnvVar(user.name, value=user.value)
    return tuple(variables.values())


def user_environment(user: str, home: str) -> Iterator[EnvVar]:
    """Names and folders of a user that /etc/passwd may not have, with compile caches below home.

    `getpass.getuser` reads USER and LOGNAME before passwd.
    """
    cache = f"{home}/.cache"
    yield EnvVar("HOME", home)
    yield EnvVar("USER", user)
    yield EnvVar("LOGNAME", user)
    yield EnvVar("TMPDIR", TEMPORARY_PATH)
    yield EnvVar("XDG_CACHE_HOME", cache)
    yield EnvVar("XDG_CONFIG_HOME", f"{home}/.config")
    yield EnvVar("XDG_DATA_HOME", f"{home}/.local/share")
    yield EnvVar("TRITON_CACHE_DIR", f"{cache}/triton")
    yield EnvVar("TORCHINDUCTOR_CACHE_DIR", f"{cache}/torchinductor")
    yield EnvVar("NUMBA_CACHE_DIR", f"{cache}/numba")


def offline(plan: Plan) -> Iterator[EnvVar]:
    """What keeps Hugging Face's libraries from asking the hub, where a volume holds the model.

    The volume is mounted to be read only, so code of repositories is unpacked elsewhere.
    """
    if plan.cached:
        yield EnvVar("HF_HUB_OFFLINE", "1")
        yield EnvVar("TRANSFORMERS_OFFLINE", "1")
        yield EnvVar("HF_MODULES_CACHE", f"{TEMPORARY_PATH}/huggingface/modules")


def no_telemetry(plan: Plan) -> Iterator[EnvVar]:
    """What keeps the engine and its libraries from sending usage statistics."""
    off = telemetry_off(plan.engine, version_numbers(plan.engine_version))
    for name, value in off.items():
        yield EnvVar(name, value)


def asks_model_scope(plan: Plan) -> bool:
    """Whether the engine itself downloads from ModelScope."""
    return plan.hub == Hub.MODEL_SCOPE and not plan.cached


def hub_token(plan: Plan, deployment: LlamaDeployment) -> Iterator[EnvVar]:
    """The token for what the engine downloads; none without a reference."""
    return iter(()) if plan.cached else token(plan, deployment)


def token(plan: Plan, deployment: LlamaDeployment) -> Iterator[EnvVar]:
    """The token of the hub as its client library reads it; none without a reference."""
    reference = deployment.spec.token_secret_ref
    if reference is not None:
        yield EnvVar(
            "MODELSCOPE_API_TOKEN" if plan.hub == Hub.MODEL_SCOPE else "HF_TOKEN",
            secret_name=reference.name,
            secret_key=reference.key,
        )


def served_names(deployment: LlamaDeployment) -> tuple[str, ...]:
    """Names that clients send as `model`."""
    return tuple(deployment.spec.served_model_names) or (deployment.metadata.name,)


def fraction(percent: int) -> str:
    """A percentage as a fraction with two digits: 92 becomes 0.92."""
    return f"{percent // 100}.{percent % 100:02d}"
