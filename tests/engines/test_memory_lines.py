"""What the real llama-server says of its memory is what the sizing computes.

It runs with the arguments of a plan for an H100. This build has no GPU, so all is in host memory:
what the plan puts on the GPU, and the input matrix.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from doubles.hub_server import HubServer, Repository
from engines import Engines
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import Plan
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.user_rows import read_user_rows
from llama_operator.cli.main import main
from llama_operator.engines.memory_lines import Reading, read_memory
from llama_operator.engines.registry import engine
from llama_operator.planning.inventory import Inventory
from llama_operator.planning.outcome import Planned
from llama_operator.planning.plan import plan
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.offload import offload
from llama_operator.sizing.scheme_names import scheme_for
from llama_operator.sizing.serving import Serving
from llama_operator.sizing.settings import Setting
from llama_operator.units import ceil_to
from support.engine_process import reserved_port
from support.rendered_engine import NAME, NODE, RenderedEngine
from support.shaped_llama import Shape, write_gguf
from support.tiny_llama import VOCABULARY

REPOSITORY = "tests/shaped-llama-GGUF"
VERSION = (11434, 0)
PADDING = 4096
"""Tensors begin at multiples of 32 bytes, and the factors of rotary frequencies are no weights."""
BITS = {"F16": 16, "Q8_0": 8.5, "Q6_K": 6.5625, "Q4_K_M": 4.5}
"""Of an element of the input matrix."""
GROUPED = Shape(layers=2, heads=4, kv_heads=2, hidden=256, intermediate=512)
TIED = Shape(layers=4, heads=8, kv_heads=2, hidden=512, intermediate=1024, tied=True)
EACH_HEAD = Shape(layers=4, heads=8, kv_heads=8, hidden=512, intermediate=1024)
DEEP = Shape(layers=8, heads=4, kv_heads=1, hidden=256, intermediate=768)


@dataclass(frozen=True)
class Case:
    """A shape in a file type, with the context of each of some slots and the type of the cache."""

    shape: Shape
    file_type: str
    context: int
    slots: int
    cache_type: str

    @property
    def file(self) -> str:
        return f"shaped-llama-{self.file_type}.gguf"

    def deployment(self, hub: str) -> LlamaDeployment:
        return LlamaDeployment.parse({
            "metadata": {"name": NAME},
            "spec": {
                "model": "shaped-llama",
                "size": "1m",
                "format": "ggufv2",
                "quantization": self.file_type,
                "engine": {
                    "type": "LlamaCpp",
                    "env": [{"name": "HF_ENDPOINT", "value": hub}],
                },
                "context": {"maxModelLen": self.context, "concurrency": self.slots},
                "memory": {"kvCacheDType": "Auto" if self.cache_type == "f16" else self.cache_type},
            },
        })  # fmt: skip

    @property
    def rows(self) -> dict[str, str]:
        architecture = {
            key: value for key, value in self.shape.config.items() if key != "model_type"
        }
        publication = {
            "format": "ggufv2",
            "quantization": self.file_type,
            "scheme": self.file_type,
            "repository": REPOSITORY,
            "files": "shaped-llama-{quantization}.gguf",
        }
        model = {"name": "shaped-llama", "size": "1m", "publications": [publication]}
        return {"models.yaml": json.dumps([{**model, "architecture": architecture}])}

    def plan(self, deployment: LlamaDeployment) -> Plan:
        rows, errors = read_user_rows("tests/rows", self.rows)
        catalog, more = Catalog.load().with_user_rows(rows)
        assert not errors, errors
        assert not more, more
        outcome = plan(deployment.spec, catalog, Inventory((NODE,), {}, ()))
        assert isinstance(outcome, Planned), outcome
        return outcome.plan

    def setting(self, planned: Plan) -> Setting:
        """As it is planned, but with no layer on a GPU, as there is none on this machine."""
        return Serving(
            model=model_shape(self.shape.config, name="shaped-llama"),
            scheme=scheme_for(self.file_type),
            engine="llama.cpp",
            max_model_len=self.context,
            max_num_seqs=self.slots,
            max_num_batched_tokens=planned.max_num_batched_tokens,
            concurrency=self.slots,
            kv_cache_dtype=self.cache_type,
            gpu_layers=0,
        ).setting()


CASES = [
    Case(GROUPED, "F16", 2048, 1, "f16"),
    Case(GROUPED, "F16", 4096, 2, "q8_0"),
    Case(GROUPED, "Q8_0", 1024, 8, "f16"),
    Case(GROUPED, "Q6_K", 2048, 4, "f16"),
    Case(GROUPED, "Q4_K_M", 8192, 2, "f16"),
    Case(GROUPED, "Q4_K_M", 300, 3, "q8_0"),
    Case(TIED, "Q8_0", 2048, 2, "f16"),
    Case(TIED, "Q4_K_M", 1024, 4, "q8_0"),
    Case(EACH_HEAD, "F16", 2048, 2, "f16"),
    Case(EACH_HEAD, "Q8_0", 4096, 1, "q8_0"),
    Case(EACH_HEAD, "Q6_K", 512, 16, "f16"),
    Case(EACH_HEAD, "Q4_K_M", 4096, 2, "q8_0"),
    Case(DEEP, "F16", 1024, 2, "q8_0"),
    Case(DEEP, "Q8_0", 16384, 1, "f16"),
    Case(DEEP, "Q4_K_M", 2048, 4, "f16"),
    Case(DEEP, "Q4_K_M", 32768, 1, "q8_0"),
]
"""Grouped and multi-head attention, 2 to 8 layers, four file types, contexts that are no multiple
of 256, one to 16 slots, both types of the cache."""


def _title(case: Case) -> str:
    shape = case.shape
    return (
        f"{shape.layers} layers {shape.heads}/{shape.kv_heads} {case.file_type} "
        f"{case.slots}x{case.context} {case.cache_type}"
    )


@dataclass(frozen=True)
class Run:
    """What a case's server said, and what was planned for it."""

    case: Case
    plan: Plan
    gguf: Path
    log: Path

    def told(self, part: str) -> Reading:
        """All buffers of a part; this build has none on a GPU."""
        parts = read_memory("LlamaCpp", VERSION, self.log.read_bytes())
        [found] = [one for one in parts if one.part == part]
        host = found.host()
        assert host is not None
        assert found.fullest() is None
        return host


@pytest.fixture(scope="module", params=CASES, ids=_title)
def run(
    request: pytest.FixtureRequest, engines: Engines, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """A llama-server with rendered arguments, which has started and ended."""
    case: Case = request.param
    folder = tmp_path_factory.mktemp("shaped")
    path = folder / case.file
    write_gguf(path, case.shape, case.file_type)
    with HubServer().serve() as hub, reserved_port() as port:
        hub.repositories[REPOSITORY] = Repository()
        hub.repositories[REPOSITORY].add(path.name, path.read_bytes())
        deployment = case.deployment(hub.url)
        planned = case.plan(deployment)
        container = engine("LlamaCpp").container(planned, deployment)
        program = (str(engines.llama_server),)
        server = RenderedEngine(container, program, None, port, folder / "engine")
        with server.start() as process:
            server.wait_started(process)
    return Run(case, planned, path, process.log)


def test_weights_are_those_of_the_sizing(run: Run) -> None:
    told = run.told("weights")
    host = offload(run.case.setting(run.plan)).host
    assert abs(told.value - host.weights_bytes) <= told.step / 2 + PADDING
    if not run.case.shape.tied:
        # The plan has all of it but the input matrix on the GPU.
        matrix = host.weights_bytes - run.plan.memory_per_gpu.weights_bytes
        assert matrix == VOCABULARY * run.case.shape.hidden * BITS[run.case.file_type] // 8


def test_the_kv_cache_is_that_of_the_sizing(run: Run) -> None:
    told = run.told("kv-cache")
    host = offload(run.case.setting(run.plan)).host
    assert abs(told.value - host.kv_cache_bytes) <= told.step / 2
    assert host.kv_cache_bytes == run.plan.memory_per_gpu.kv_cache_bytes


def test_the_compute_buffer_is_within_the_bound_of_the_sizing(
    run: Run, record_property: Callable[[str, object], None]
) -> None:
    told = run.told("activation").value
    bound = offload(run.case.setting(run.plan)).host.compute_bytes
    record_property("figure.compute-buffer-of-its-bound", round(told / bound, 2))
    # The vocabulary is small; of a larger one the bound has logits that the server does not keep.
    assert 0.6 <= told / bound <= 1


def test_size_shows_it_beside_what_it_computes(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    case = run.case
    context = case.slots * ceil_to(case.context, 256)
    words = [
        *("size", "--config", str(run.gguf), "--n-gpu-layers", "0", "--output", "json"),
        *("--max-model-len", str(context)),
        *("--kv-cache-dtype", case.cache_type, "--compare-log", str(run.log)),
    ]
    assert main(words) == 0
    found = {row["part"]: row for row in json.loads(capsys.readouterr().out)["observed"]}
    for part in ("weights", "kv-cache"):
        assert found[part]["place"] == "host"
        assert abs(found[part]["difference"]) <= found[part]["rounding"] / 2 + PADDING
    assert found["kv-tokens"]["difference"] == 0
    assert found["activation"]["computed_is_bound"]
    assert found["activation"]["difference"] <= 0
