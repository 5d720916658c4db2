"""What becomes of a row, as its golden says it: figures of the plan, and the engine's container.

What all rows of a file share stands once, under `every row`.
"""

import json
import shlex
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from golden.row_table import Row
from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.plan import Plan
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.user_rows import read_user_rows
from llama_operator.engines.engine import Container, EnvVar, HttpProbe, Probe
from llama_operator.engines.registry import engine
from llama_operator.planning.inventory import Inventory, NodeFacts
from llama_operator.planning.outcome import Outcome, Planned
from llama_operator.planning.plan import plan
from llama_operator.units import GIB

FOLDER: Final = Path(__file__).parent / "rows"
EVERY: Final = "every row"
NAME: Final = "llama"
CPU_MILLICORES: Final = 192_000
MEMORY_BYTES: Final = 2048 * GIB
DISK_BYTES: Final = 8192 * GIB


@cache
def outcome(row: Row) -> Outcome:
    """What planning says of a row on its cluster."""
    return plan(deployment(row).spec, _catalog(row), Inventory(_nodes(row), {}))


def planned(row: Row) -> Plan:
    """The plan of a row that has one."""
    found = outcome(row)
    assert isinstance(found, Planned), f"{row.name}: {found}"
    return found.plan


def container(row: Row) -> Container:
    """The engine's container of a row that is placed."""
    found = planned(row)
    return engine(found.engine).container(found, deployment(row))


def deployment(row: Row) -> LlamaDeployment:
    """The row as a deployment."""
    return LlamaDeployment.parse({"metadata": {"name": NAME}, "spec": row.spec})


def _catalog(row: Row) -> Catalog:
    if not row.user_rows:
        return Catalog.load()
    rows, errors = read_user_rows("rows", {"models.yaml": json.dumps(list(row.user_rows))})
    catalog, refused = Catalog.load().with_user_rows(rows)
    assert not errors, errors
    assert not refused, refused
    return catalog


def _nodes(row: Row) -> tuple[NodeFacts, ...]:
    return tuple(
        NodeFacts(
            name=f"node-{number}",
            product=product,
            resource="nvidia.com/gpu",
            label="nvidia.com/gpu.product",
            gpus=gpus,
            gpu_memory_mib=None,
            compute_capability=None,
            replicas=1,
            cpu_millicores=CPU_MILLICORES,
            memory_bytes=MEMORY_BYTES,
            disk_bytes=DISK_BYTES,
        )
        for number, (product, gpus) in enumerate(row.nodes)
    )


def goldens(rows: Iterable[Row]) -> dict[str, str]:
    """What stands in each file of the folder, by the file's name without suffix."""
    files: dict[str, dict[str, Any]] = {}
    for row in rows:
        files.setdefault(row.file, {})[row.title] = _facts(row)
    return {name: _dump(_with_common(facts)) for name, facts in files.items()}


def _with_common(facts: dict[str, Any]) -> dict[str, Any]:
    common = _common(list(facts.values()))
    found = {title: _without(fact, common) for title, fact in facts.items()}
    return ({EVERY: common} if common else {}) | found


def _dump(facts: dict[str, Any]) -> str:
    """YAML, in the order of facts."""
    text = yaml.dump(facts, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=98)
    assert isinstance(text, str)
    return text


def _facts(row: Row) -> dict[str, Any]:
    found = outcome(row)
    nodes = ", ".join(f"{count}x {product}" for product, count in row.nodes)
    asked = {"spec": " ".join(_words(row.spec)), "nodes": nodes}
    if isinstance(found, Planned):
        return asked | _plan_facts(found.plan) | _container_facts(container(row))
    instead = [alternative.summary for alternative in found.alternatives]
    refusal = {"refused": found.reason.value, "message": found.message}
    sized = instead and found.needed_bytes is not None
    return asked | refusal | ({"instead": instead} if sized else {})


def _words(value: object, path: str = "") -> Iterator[str]:
    """Fields of a spec as `path=value`."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _words(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _words(item, f"{path}[{index}]")
    else:
        yield f"{path}={value}"


def _plan_facts(plan: Plan) -> dict[str, Any]:
    memory = plan.memory_per_gpu
    parts = {
        "weights": memory.weights_bytes,
        **({"draft": memory.draft_weights_bytes} if memory.draft_weights_bytes else {}),
        "activations": memory.activation_bytes,
        "other": memory.non_torch_bytes,
        "graphs": memory.cuda_graph_bytes,
        "KV cache": memory.kv_cache_bytes,
        "free": memory.headroom_bytes,
    }
    sizes = " + ".join(f"{name} {size / GIB:.2f}" for name, size in parts.items())
    return {
        "repository": f"{plan.repository} on {plan.hub}{', gated' if plan.gated else ''}",
        **({"draft": plan.draft.repository} if plan.draft else {}),
        "engine": f"{plan.engine} {plan.engine_version}",
        "gpus": f"{plan.gpus}, by {plan.tensor_parallel_size} x {plan.pipeline_parallel_size}",
        "context": (
            f"{plan.max_model_len:,} tokens, {plan.concurrency} at once; KV cache of "
            f"{plan.kv_cache_tokens:,} tokens; steps of {plan.max_num_batched_tokens:,} tokens and "
            f"{plan.max_num_seqs} sequences"
        ),
        "GiB per GPU": f"{memory.total_bytes / GIB:.2f} = {sizes}",
        "host": (
            f"{plan.host.cpu_millicores / 1000:g} cores, {plan.host.memory_bytes / GIB:.1f} GiB, "
            f"disk {plan.host.disk_bytes / GIB:.1f} GiB"
        ),
    }


def _container_facts(found: Container) -> dict[str, Any]:
    root = "read-only" if found.read_only_root else "writable"
    first = "the pause process" if found.shared_process_namespace else "the engine"
    return {
        "image": found.image,
        **({"command": shlex.join(found.command)} if found.command else {}),
        **({"args": shlex.join(found.args)} if found.args else {}),
        "env": {variable.name: _value(variable) for variable in found.env},
        "folders": ", ".join(
            f"{one.path}{f' in {one.medium}' if one.medium else ''}" for one in found.scratch
        ),
        "startup": _probe(found.startup),
        "readiness": _probe(found.readiness),
        "liveness": _probe(found.liveness),
        "user": f"{found.user_id}:{found.group_id}, {root} root, process 1 is {first}",
        "end": (
            f"{found.pre_stop_seconds} s before SIGTERM, {found.drain_seconds} s of drain, "
            f"SIGKILL after {found.termination_grace_period_seconds} s"
        ),
    }


def _value(variable: EnvVar) -> str:
    if variable.secret_name:
        return f"key {variable.secret_key} of Secret {variable.secret_name}"
    return variable.value


def _probe(probe: Probe) -> str:
    what = f"GET {probe.path}" if isinstance(probe, HttpProbe) else shlex.join(probe.command)
    return (
        f"{what}, each {probe.period_seconds} s, {probe.timeout_seconds} s to answer, "
        f"{probe.failure_threshold} failures"
    )


def _common(facts: list[dict[str, Any]]) -> dict[str, Any]:
    """What all of at least two rows say alike."""
    if len(facts) < 2:
        return {}
    first, *others = facts
    common: dict[str, Any] = {}
    for key, value in first.items():
        if all(other.get(key) == value for other in others):
            common[key] = value
        elif isinstance(value, dict):
            shared = _common([fact.get(key, {}) for fact in facts])
            common |= {key: shared} if shared else {}
    return common


def _without(fact: dict[str, Any], common: dict[str, Any]) -> dict[str, Any]:
    return dict(_rest(fact, common))


def _rest(fact: dict[str, Any], common: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in fact.items():
        if key not in common:
            yield key, value
        elif isinstance(value, dict) and value != common[key]:
            rest = _without(value, common[key])
            if rest:
                yield key, rest
