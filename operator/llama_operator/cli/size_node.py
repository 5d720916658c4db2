"""What a replica needs of its node: CPU, memory and disk, beside the memory of GPUs."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.host_tables import engine_loading
from llama_operator.cli.memory_bar import Part
from llama_operator.cli.size_question import Subject
from llama_operator.errors import CatalogError
from llama_operator.sizing.host import (
    DiskParts,
    HostParts,
    cpu_millicores,
    cpu_threads,
    disk_parts,
    host_parts,
)
from llama_operator.sizing.offload import offload
from llama_operator.sizing.settings import Setting
from llama_operator.units import GIB, MIB, format_gib


@dataclass(frozen=True, slots=True)
class Node:
    """What one replica takes of one node, which holds the GPUs of one pipeline stage.

    Attributes:
        cpu_millicores: request of the pod.
        memory: where its memory goes.
        division: llama.cpp's layers in words; empty where none is asked to stay.
        given_bytes: memory that the user says is there; None where nothing is said.
    """

    cpu_millicores: int
    memory: HostParts
    division: str
    given_bytes: int | None

    @property
    def cpu_threads(self) -> int:
        """Threads that the engine may start with that request."""
        return cpu_threads(self.cpu_millicores)

    @property
    def is_plain(self) -> bool:
        """Whether nothing but the engine's processes takes memory of the node."""
        memory = self.memory
        return memory.memory_bytes == memory.processes_bytes + memory.shm_bytes

    @property
    def fits(self) -> bool | None:
        """Whether the memory is there; None where nothing is said of it."""
        return None if self.given_bytes is None else self.memory.memory_bytes <= self.given_bytes


def node_of(
    arguments: argparse.Namespace, catalog: Catalog, subject: Subject, setting: Setting
) -> Node | None:
    """What a replica takes of its node; None for engines whose pods are not known."""
    try:
        host = catalog.host(setting.rules.engine)
        engine_loading(setting.rules.engine)
    except CatalogError:
        return None
    cache_ram, given = arguments.cache_ram, arguments.host_memory_gib
    ranks = setting.tensor_parallel_size
    parts = host_parts(
        setting,
        host,
        ranks=ranks,
        maps_files=False if arguments.no_mmap else None,
        prompt_cache_bytes=None if cache_ram is None else cache_ram * MIB,
        pinned_bytes=(arguments.kv_offloading_size or 0) * GIB,
        quantize_at_load=subject.quantize_at_load,
        largest_file_bytes=subject.largest_file_bytes,
    )
    return Node(
        cpu_millicores=cpu_millicores(setting, host, ranks=ranks),
        memory=parts,
        division=offload(setting).message if setting.gpu_layers is not None else "",
        given_bytes=None if given is None else given * GIB,
    )


def disk_of(subject: Subject) -> DiskParts:
    """Where the disk of one node goes.

    Raises:
        UnsupportedSchemeError: the bytes of the scheme are not known.
    """
    return disk_parts(
        subject.shape,
        subject.scheme,
        stored_bytes=subject.stored_bytes,
        quantize_at_load=subject.quantize_at_load,
    )


def shortage(node: Node) -> str:
    """What the node lacks and what would help; empty when it has all, or nothing is said of it."""
    if node.fits is not False:
        return ""
    memory, given = node.memory, node.given_bytes or 0
    text = (
        f"a replica takes {format_gib(memory.memory_bytes)} of memory of its node; "
        f"{format_gib(given)} are there"
    )
    less = replace(memory, prompt_cache_bytes=0)
    room = (given - less.memory_bytes) // MIB
    return f"{text}; --cache-ram {room} fits" if memory.prompt_cache_bytes and room >= 0 else text


def node_text(node: Node) -> str:
    """CPU and memory as a clause."""
    memory = node.memory
    threads = f" for --threads {node.cpu_threads}" if memory.weights_bytes else ""
    return (
        f"{node.cpu_millicores / 1000:g} CPU{threads}, {format_gib(memory.memory_bytes)} memory, "
        f"{format_gib(memory.shm_bytes)} of it /dev/shm"
    )


def disk_text(disk: DiskParts) -> str:
    """Files and disk as a clause."""
    files = f"{format_gib(disk.download_bytes)}, {disk.download_bytes:,} bytes"
    if disk.loaded_bytes < disk.download_bytes:
        files += f", quantized at load to {format_gib(disk.loaded_bytes)}"
    return f"{files}; {format_gib(disk.disk_bytes)} of disk"


def node_parts(memory: HostParts) -> tuple[Part, ...]:
    """The parts that add up to a replica's memory of its node: while it loads, or while it serves.

    Whichever of the two takes more counts.
    """
    return tuple(part for part in _parts(memory) if part.size_bytes)


def _parts(memory: HostParts) -> Iterator[Part]:
    yield Part("P", "processes", "white on magenta", memory.processes_bytes)
    yield Part("W", "weights", "white on blue", memory.weights_bytes)
    serving = (
        Part("K", "KV cache", "black on green", memory.kv_cache_bytes),
        Part("C", "compute buffers", "black on yellow", memory.compute_bytes),
        Part("R", "prompt cache", "black on cyan", memory.prompt_cache_bytes),
        Part("I", "pinned KV cache", "black on green", memory.pinned_bytes),
    )
    if memory.loader_bytes > sum(part.size_bytes for part in serving):
        yield Part("L", "while it loads", "black on cyan", memory.loader_bytes)
    else:
        yield from serving
    yield Part("S", "shared memory", "white on red", memory.shm_bytes)


def node_object(node: Node) -> dict[str, Any]:
    """A node as JSON."""
    memory = node.memory
    return {
        "cpu_millicores": node.cpu_millicores,
        "cpu_threads": node.cpu_threads,
        "memory_bytes": memory.memory_bytes,
        "processes_bytes": memory.processes_bytes,
        "weights_bytes": memory.weights_bytes,
        "kv_cache_bytes": memory.kv_cache_bytes,
        "compute_bytes": memory.compute_bytes,
        "prompt_cache_bytes": memory.prompt_cache_bytes,
        "pinned_bytes": memory.pinned_bytes,
        "loader_bytes": memory.loader_bytes,
        "shm_bytes": memory.shm_bytes,
        **({} if node.given_bytes is None else {"given_bytes": node.given_bytes}),
    }


def disk_object(disk: DiskParts) -> dict[str, Any]:
    """Disk as JSON."""
    return {
        "download_bytes": disk.download_bytes,
        "loaded_bytes": disk.loaded_bytes,
        "margin_bytes": disk.margin_bytes,
        "disk_bytes": disk.disk_bytes,
    }
