"""The engines that run without a GPU, started with what is rendered for a real plan.

The model is the tiny one, which a user's rows add to the catalog; the plan is that of an H100; the
files come from a hub on this machine, which `spec.engine.env` names as a mirror is named.
"""

import json
import shutil
import subprocess
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
from support.engine_process import LOOPBACK, EngineProcess, get
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
DRAFT_GGUF_REPOSITORY: Final = "tests/tiny-draft-GGUF"
DRAFT_MLX_REPOSITORY: Final = "tests/tiny-draft"
DRAFT_LAYERS: Final = 1


def _row(name: str, size: str, layers: int, gguf: str, mlx: str) -> dict[str, object]:
    return {
        "name": name,
        "size": size,
        "architecture": {
            "hidden_size": HIDDEN,
            "intermediate_size": INTERMEDIATE,
            "num_hidden_layers": layers,
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
                "repository": gguf,
                "files": f"{name}-{{quantization}}.gguf",
            },
            {"format": "mlx", "quantization": "none", "scheme": "none", "repository": mlx},
        ],
    }


ROWS: Final = {
    "models.yaml": json.dumps([
        _row("tiny-llama", "8m", LAYERS, GGUF_REPOSITORY, MLX_REPOSITORY),
        _row("tiny-draft", "4m", DRAFT_LAYERS, DRAFT_GGUF_REPOSITORY, DRAFT_MLX_REPOSITORY),
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


def add_repositories(
    hub: HubServer,
    model: TinyLlama,
    names: tuple[str, str] = (GGUF_REPOSITORY, MLX_REPOSITORY),
) -> None:
    """Put both forms of the model on a hub."""
    gguf = hub.repositories.setdefault(names[0], Repository())
    gguf.add(model.gguf.name, model.gguf.read_bytes())
    folder = hub.repositories.setdefault(names[1], Repository())
    for file in sorted(model.folder.iterdir()):
        folder.add(file.name, file.read_bytes())


def deployment(
    name: str, hub: str, context: int, token: str, *, drafted: bool = False, tls: bool = False
) -> LlamaDeployment:
    """The deployment of the tiny model by an engine, with a hub as its mirror."""
    draft = {"model": "tiny-draft", "size": "4m", "format": FORMATS[name]}
    drafts = {"speculative": {"draftModel": draft}} if drafted else {}
    secret = {"tokenSecretRef": {"name": "hub-token"}} if token else {}
    https = {"tls": {"secretName": "tiny-tls"}} if tls else {}
    return LlamaDeployment.parse({
        "metadata": {"name": NAME},
        "spec": {
            "model": "tiny-llama",
            "size": "8m",
            "format": FORMATS[name],
            "engine": {"type": name, "env": [{"name": "HF_ENDPOINT", "value": hub}]},
            "context": {"maxModelLen": context, "concurrency": SLOTS},
            **secret,
            **drafts,
            **https,
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


def container(
    name: str,
    hub: str,
    context: int = CONTEXT_PER_SLOT,
    token: str = "",
    *,
    drafted: bool = False,
    tls: bool = False,
) -> Container:
    """What is rendered for it."""
    body = deployment(name, hub, context, token, drafted=drafted, tls=tls)
    return engine(name).container(planned(body), body)


@dataclass(frozen=True)
class RenderedEngine:
    """An engine's program with rendered arguments, on this machine.

    `program` is what the image's entrypoint is; `python` the interpreter that is `python3` there;
    `token` is the hub's, and `tls` a folder with the files of the Secret of `spec.tls`.
    """

    container: Container
    program: tuple[str, ...]
    python: Path | None
    port: int
    directory: Path
    token: str = ""
    tls: Path | None = None

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
        *,
        drafted: bool = False,
        tls: Path | None = None,
    ) -> Self:
        """LlamaCpp or MLX; with a token or TLS the deployment refers to a Secret that has it."""
        rendered = container(name, hub, context, token, drafted=drafted, tls=tls is not None)
        if name == "LlamaCpp":
            program: tuple[str, ...] = (str(engines.llama_server),)
            return cls(rendered, program, None, port, directory, token, tls)
        program = (str(engines.mlx_python), "-m", "mlx_lm", "server")
        return cls(rendered, program, engines.mlx_python, port, directory, token, tls)

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
        for mounted in (*self.container.scratch, *self.container.files):
            if word == mounted.path or word.startswith(f"{mounted.path}/"):
                return f"{self.folder(mounted.path)}{word.removeprefix(mounted.path)}"
        return word.replace(f"{LOOPBACK}:{self.container.port}/", f"{LOOPBACK}:{self.port}/")

    def folder(self, path: str) -> Path:
        """Where a folder of the container is."""
        return self.directory / path.strip("/").replace("/", "-")

    def start(self) -> EngineProcess:
        """Start it; its working folder is not one of its own."""
        for scratch in self.container.scratch:
            self.folder(scratch.path).mkdir(parents=True, exist_ok=True)
        if self.tls is not None:
            self.mount(self.tls)
        return EngineProcess(
            self.arguments, self.port, self.directory, self.environment, self.container.https
        )

    def mount(self, secret: Path) -> None:
        """Put a Secret's values, each a file by its key, where the container has them."""
        [files] = self.container.files
        self.folder(files.path).mkdir(exist_ok=True)
        for key, name in files.files:
            shutil.copyfile(secret / key, self.folder(files.path) / name)

    def wait_started(self, process: EngineProcess) -> None:
        """Wait until the startup probe succeeds, as the kubelet does."""
        process.wait("its startup probe succeeds", lambda: self.succeeds(self.container.startup))

    def succeeds(self, probe: Probe) -> bool:
        """Whether a probe does."""
        if isinstance(probe, ExecProbe):
            command = [self.translated(word) for word in probe.command]
            return run(command, self.environment, probe.timeout_seconds)
        scheme = "https" if self.container.https else "http"
        url = f"{scheme}://{LOOPBACK}:{self.port}{probe.path}"
        return 200 <= get(url, probe.timeout_seconds)[0] < 400


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
