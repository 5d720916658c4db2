"""CPU and memory that the spec asks for instead of the planned ones."""

from collections.abc import Iterator
from dataclasses import replace

from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.planning.survey import GpuPool
from llama_operator.sizing.host import MILLICORES, HostNeeds
from llama_operator.units import format_gib, parse_quantity, quantity_bytes


def requested_host(spec: LlamaDeploymentSpec, needs: HostNeeds) -> HostNeeds:
    """What pods request: the needs, with CPU and memory of `spec.template.spec.resources`."""
    asked = spec.template.spec.resources
    if asked.cpu is not None:
        needs = replace(needs, cpu_millicores=int(parse_quantity(asked.cpu) * MILLICORES))
    if asked.memory is not None:
        needs = replace(needs, memory_bytes=quantity_bytes(asked.memory))
    return needs


def host_reasons(
    spec: LlamaDeploymentSpec, needs: HostNeeds, requested: HostNeeds
) -> Iterator[str]:
    """Sentences of the plan on what was asked for, with a warning where it is less than needed."""
    asked = spec.template.spec.resources
    if asked.cpu is not None:
        yield f"CPU {_cores(requested)}: as asked" + (
            f", below the {_cores(needs)} that are planned; loading and serving may be slow"
            if requested.cpu_millicores < needs.cpu_millicores
            else ""
        )
    if asked.memory is not None:
        yield f"memory {format_gib(requested.memory_bytes)}: as asked" + (
            f", below the {format_gib(needs.memory_bytes)} that are planned; the engine may be "
            "ended for it (OutOfMemory)"
            if requested.memory_bytes < needs.memory_bytes
            else ""
        )


def _cores(host: HostNeeds) -> str:
    return f"{host.cpu_millicores / MILLICORES:g} cores"


def host_shortage(pool: GpuPool, cards: int, host: HostNeeds, nodes: int = 1) -> str:
    """What nodes of the pool with enough cards lack; empty when so many of them have all."""
    groups = [group for group in pool.groups if group.cards >= cards]
    there = sum(
        count
        for (group, _), count in pool.free.items()
        if group.cards >= cards and group.host_replicas(host)
    )
    if there >= nodes:
        return ""
    best = {
        "CPU": (max(group.cpu_millicores for group in groups), host.cpu_millicores),
        "memory": (max(group.memory_bytes for group in groups), host.memory_bytes),
        "ephemeral storage": (max(group.disk_bytes for group in groups), host.disk_bytes),
    }
    return _shortage_text({name: pair for name, pair in best.items() if pair[0] < pair[1]} or best)


def _shortage_text(short: dict[str, tuple[int, int]]) -> str:
    return ", ".join(
        f"{name}: {_amount(name, needed)} needed, at most {_amount(name, there)} there"
        for name, (there, needed) in short.items()
    )


def _amount(name: str, value: int) -> str:
    if name == "CPU":
        return f"{value / 1000:g} cores"
    return format_gib(value)
