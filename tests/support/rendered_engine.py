"""The engines that run without a GPU, started with what is rendered for a real plan.

The model is the tiny one, which a user's rows add to the catalog; the plan is that of an H100; the
files come from a hub on this machine, which `spec.engine.env` names as a mirror is named.
"""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from doubles.hub_server import HubServer, Repository
from engines import Engines
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import Plan
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.user_rows import read_user_rows
from llama_operator.engines.engine import Container, ExecProbe, Probe
from llama_operator.engines.registry import engine
from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.planning.outcome import Planned
from llama_operator.planning.plan import plan
from llama_operator.units import GIB
from support.engine_process import LOOPBACK, EngineProcess
from support.tiny_llama import (
    CONTEXT,
    HEAD_DIM,
    HEADS,
    HIDDEN,
    INTERMEDIATE,
    KV_HEADS,
    LAYERS,
    VOCABULARY,
    TinyLlama,
)

NAME: Final = "tiny"
"""Of the deployment, and what clients send as `model` where the engine serves by that name."""
GGUF_REPOSITORY: Final = "tests/tiny-llama-GGUF"
MLX_REPOSITORY: Final = "tests/tiny-llama"
CONTEXT_PER_SLOT, SLOTS = 2048, 2
FORMATS: Final = {"LlamaCpp": "ggufv2", "MLX": "mlx"}
ROWS: Final = {
    "models.yaml": json.dumps([
        {
            "name": "tiny-llama",
            "size": "8m",
            "architecture": {
                "hidden_size": HIDDEN,
                "intermediate_size": INTERMEDIATE,
                "num_hidden_layers": LAYERS,
                "num_attention_heads": HEADS,
                "num_key_value_heads": KV_HEADS,
                "head_dim": HEAD_DIM,
                "vocab_size": VOCABULARY,
                "max_position_embeddings": CONTEXT,
            },
            "publications": [
                {
                    "format": "ggufv2",
                    "quantization": "F16",
                    "scheme": "F16",
                    "repository": GGUF_REPOSITORY,
                    "files": "tiny-llama-{quantization}.gguf",
                },
                {
                    "format": "mlx",
                    "quantization": "none",
                    "scheme": "none",
                    "repository": MLX_REPOSITORY,
                },
            ],
        }
    ])
}  # fmt: skip
NODE: Final = NodeFacts(
    name="h100",
    product="NVIDIA-H100-80GB-HBM3",
    resource="nvidia.com/gpu",
    label="nvidia.com/gpu.product",
    gpus=1,
    gpu_memory_mib=81_559,
    compute_capability=None,
    replicas=1,
    cpu_millicores=16_000,
    memory_bytes=64 * GIB,
    disk_bytes=64 * GIB,
)


def add_repositories(hub: HubServer, model: TinyLlama) -> None:
    """Put both forms of the model on a hub."""
    gguf = hub.repositories.setdefault(GGUF_REPOSITORY, Repository())
    gguf.add(model.gguf.name, model.gguf.read_bytes())
    folder = hub.repositories.setdefault(MLX_REPOSITORY, Repository())
    for file in sorted(model.folder.iterdir()):
        folder.add(file.name, file.read_bytes())


def deployment(name: str, hub: str, context: int, token: str) -> LlamaDeployment:
    """The deployment of the tiny model by an engine, with a hub as its mirror."""
    secret = {"tokenSecretRef": {"name": "hub-token"}} if token else {}
    return LlamaDeployment.parse({
        "metadata": {"name": NAME},
        "spec": {
            "model": "tiny-llama",
            "size": "8m",
            "format": FORMATS[name],
            "engine": {"type": name, "env": [{"name": "HF_ENDPOINT", "value": hub}]},
            "context": {"maxModelLen": context, "concurrency": SLOTS},
            **secret,
        },
    })  # fmt: skip


def planned(body: LlamaDeployment) -> Plan:
    """Its plan on one H100."""
    rows, errors = read_user_rows("tests/rows", ROWS)
    catalog, more = Catalog.load().with_user_rows(rows)
    assert not errors, errors
    assert not more, more
    outcome = plan(body.spec, catalog, Inventory((NODE,), {}, ()))
    assert isinstance(outcome, Planned), outcome
    return outcome.plan


def container(name: str, hub: str, context: int = CONTEXT_PER_SLOT, token: str = "") -> Container:
    """What is rendered for it."""
    body = deployment(name, hub, context, token)
    return engine(name).container(planned(body), body)


@dataclass(frozen=True)
class RenderedEngine:
    """An engine's program with rendered arguments, on this machine.

    `program` is what the image's entrypoint is; `python` the interpreter that is `python3` there.
    """

    container: Container
    program: tuple[str, ...]
    python: Path | None
    port: int
    directory: Path
    token: str = ""

    @classmethod
    def make(
        cls,
        name: str,
        engines: Engines,
        hub: str,
        port: int,
        directory: Path,
        context: int = CONTEXT_PER_SLOT,
        token: str = "",
    ) -> Self:
        """LlamaCpp or MLX; `token` is the key of the Secret that the deployment refers to."""
        rendered = container(name, hub, context, token)
        if name == "LlamaCpp":
            program: tuple[str, ...] = (str(engines.llama_server),)
            return cls(rendered, program, None, port, directory, token)
        program = (str(engines.mlx_python), "-m", "mlx_lm", "server")
        return cls(rendered, program, engines.mlx_python, port, directory, token)

    def without(self, *arguments: str) -> Self:
        """The same without some of its arguments."""
        kept = tuple(word for word in self.container.args if word not in arguments)
        assert len(kept) == len(self.container.args) - len(arguments)
        return replace(self, container=replace(self.container, args=kept))

    @property
    def arguments(self) -> list[str]:
        """The program and its arguments, translated."""
        return [*self.program, *map(self.translated, self.container.args)]

    @property
    def environment(self) -> dict[str, str]:
        """The variables, translated, with the Secret's value where one refers to it."""
        found = {
            one.name: self.token if one.secret_name else self.translated(one.value)
            for one in self.container.env
        }
        if self.python is not None:
            # The interpreter of the image is the first on its PATH.
            found["PATH"] = f"{self.python.parent}:/usr/bin:/bin"
        return found

    def translated(self, word: str) -> str:
        """A word as it stands on this machine: the whole difference between here and a pod.

        The engine listens on the loopback and on a port of the test, so that two of them run beside
        each other; the container's folders are folders of the test.
        """
        words = {
            "0.0.0.0": LOOPBACK,
            "--host=0.0.0.0": f"--host={LOOPBACK}",
            str(self.container.port): str(self.port),
            f"--port={self.container.port}": f"--port={self.port}",
        }
        if word in words:
            return words[word]
        for scratch in self.container.scratch:
            if word == scratch.path or word.startswith(f"{scratch.path}/"):
                return f"{self.folder(scratch.path)}{word.removeprefix(scratch.path)}"
        return word.replace(f"{LOOPBACK}:{self.container.port}/", f"{LOOPBACK}:{self.port}/")

    def folder(self, path: str) -> Path:
        """Where a folder of the container is."""
        return self.directory / path.strip("/").replace("/", "-")

    def start(self) -> EngineProcess:
        """Start it; its working folder is not one of its own."""
        for scratch in self.container.scratch:
            self.folder(scratch.path).mkdir(parents=True, exist_ok=True)
        return EngineProcess(self.arguments, self.port, self.directory, self.environment)

    def wait_started(self, process: EngineProcess) -> None:
        """Wait until the startup probe succeeds, as the kubelet does."""
        process.wait("its startup probe succeeds", lambda: self.succeeds(self.container.startup))

    def succeeds(self, probe: Probe) -> bool:
        """Whether a probe does."""
        if isinstance(probe, ExecProbe):
            command = [self.translated(word) for word in probe.command]
            return run(command, self.environment, probe.timeout_seconds)
        url = f"http://{LOOPBACK}:{self.port}{probe.path}"
        try:
            with urllib.request.urlopen(url, timeout=probe.timeout_seconds) as answer:
                return 200 <= answer.status < 400
        except (urllib.error.HTTPError, OSError):
            return False


def run(command: list[str], environment: Mapping[str, str], timeout: int) -> bool:
    """Whether a command of a probe ends well in time, as `exec` in the container runs it."""
    program = Path(environment["PATH"].split(":")[0]) / command[0]
    try:
        answer = subprocess.run(
            [program, *command[1:]],
            env=environment,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return answer.returncode == 0
