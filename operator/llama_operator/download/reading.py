"""Reads what sizing needs from the files of a repository: texts and headers, no weights."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from llama_operator.download import gguf_files, safetensors
from llama_operator.download.facts import DtypeTotal, GgufFacts, GgufHeader, SafetensorsFacts
from llama_operator.download.gguf import GgufParser
from llama_operator.download.http import Session
from llama_operator.download.json_text import read_object
from llama_operator.download.snapshot import Hub, Snapshot
from llama_operator.errors import HubContentError, HubTooLargeError
from llama_operator.units import KIB, MIB

CONFIG_LIMIT_BYTES: Final = 8 * MIB
"""Of `config.json`; the longest in use has about 100 KB."""
INDEX_LIMIT_BYTES: Final = 32 * MIB
"""Of `model.safetensors.index.json`; that of DeepSeek R1 with 91,991 tensors has 9 MB."""
SHARDS_LIMIT: Final = 1_000
SAFETENSORS_START_BYTES: Final = 128 * KIB
"""Read at once: most headers are within (huggingface_hub reads 100 kB for the same reason)."""
GGUF_PIECE_BYTES: Final = 4 * MIB
PARALLEL_READS: Final = 4

CONFIG: Final = "config.json"
QUANTIZATION_CONFIGS: Final = ("hf_quant_config.json", "quantize_config.json", "quant_config.json")
"""Of ModelOpt, AutoGPTQ and AutoAWQ: read where `config.json` has no `quantization_config`."""
SINGLE: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
CONSOLIDATED: Final = "consolidated"
"""Files of this name are a second copy in Mistral's own format."""
ADAPTER: Final = "adapter"


class Reader:
    """Reads files of one repository at one commit.

    Args:
        session: to the hub.
        hub: the repository.
        snapshot: its commit and files.
    """

    def __init__(self, session: Session, hub: Hub, snapshot: Snapshot) -> None:
        self._session = session
        self._hub = hub
        self._commit = snapshot.commit
        self._sizes = {file.path: file.size_bytes for file in snapshot.files}
        self._free = asyncio.Semaphore(PARALLEL_READS)

    async def config(self) -> dict[str, Any] | None:
        """`config.json`, None without one."""
        return await self._object(CONFIG, CONFIG_LIMIT_BYTES)

    async def quantization_config(self, config: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """The file beside `config.json` that tells the quantization, where that does not."""
        if config is not None and "quantization_config" in config:
            return None
        for path in QUANTIZATION_CONFIGS:
            found = await self._object(path, CONFIG_LIMIT_BYTES)
            if found is not None:
                return found
        return None

    async def safetensors(self) -> SafetensorsFacts | None:
        """Totals of the safetensors files that hold the model, None without any."""
        index = await self._object(INDEX, INDEX_LIMIT_BYTES)
        total: int | None = None
        if index is not None:
            files, total = safetensors.index_facts(index, INDEX)
        else:
            files = self._single_files()
        if not files:
            return None
        missing = [path for path in files if path not in self._sizes]
        if missing:
            msg = f"{INDEX} names {missing[0]:.80}, which the repository does not have"
            raise HubContentError(msg)
        if len(files) > SHARDS_LIMIT:
            msg = (
                f"the model has {len(files):,} safetensors files; {SHARDS_LIMIT:,} are read at most"
            )
            raise HubTooLargeError(msg)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._dtypes(path)) for path in files]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        dtypes = safetensors.add_totals(task.result() for task in tasks)
        return SafetensorsFacts(tuple(files), total, dtypes)

    async def gguf_header(self, model: GgufFacts) -> GgufFacts:
        """The same GGUF model with its header."""
        gguf_files.check_parts(model)
        headers = [await self._gguf_header(path) for path in model.files]
        return replace(model, header=gguf_files.together(headers))

    def _single_files(self) -> list[str]:
        top = sorted(
            path for path in self._sizes if path.endswith(".safetensors") and "/" not in path
        )
        if SINGLE in top:
            return [SINGLE]
        models = [path for path in top if not path.startswith(ADAPTER)]
        return [path for path in models if not path.startswith(CONSOLIDATED)] or models

    async def _object(self, path: str, limit_bytes: int) -> dict[str, Any] | None:
        if path not in self._sizes:
            return None
        size = self._sizes[path]
        if size is not None and size > limit_bytes:
            msg = f"{path} has {size:,} bytes; more than {limit_bytes:,} are not read"
            raise HubTooLargeError(msg)
        answer = await self._session.get(self._hub.file_url(self._commit, path), path, limit_bytes)
        if answer.refused:
            raise self._hub.refusal(answer, path)
        return read_object(answer.body, path)

    async def _part(self, path: str, start: int, length: int) -> tuple[bytes, int | None]:
        url = self._hub.file_url(self._commit, path)
        answer = await self._session.get_part(url, path, start, length)
        if answer.refused:
            raise self._hub.refusal(answer, path)
        told = answer.total_bytes
        return answer.body, self._sizes[path] if told is None else told

    async def _dtypes(self, path: str) -> dict[str, DtypeTotal]:
        async with self._free:
            start, file_bytes = await self._part(path, 0, SAFETENSORS_START_BYTES)
            length = safetensors.header_length(start, path, file_bytes)
            end = safetensors.LENGTH_BYTES + length
            if len(start) < end:
                rest, _ = await self._part(path, len(start), end - len(start))
                start += rest
            if len(start) < end:
                msg = f"{path} ends within its header"
                raise HubContentError(msg)
            data_bytes = None if file_bytes is None else file_bytes - end
            return safetensors.dtype_totals(start[safetensors.LENGTH_BYTES : end], path, data_bytes)

    async def _gguf_header(self, path: str) -> GgufHeader:
        parser = GgufParser(path)
        at = 0
        file_bytes: int | None = None
        async with self._free:
            while not parser.done:
                piece, file_bytes = await self._part(path, at, GGUF_PIECE_BYTES)
                at += len(piece)
                parser.feed(piece)
                if not parser.done and len(piece) < GGUF_PIECE_BYTES:
                    msg = f"{path} ends within its header"
                    raise HubContentError(msg)
        if file_bytes is None:
            msg = f"the hub does not tell the size of {path}"
            raise HubContentError(msg)
        return parser.header(file_bytes)
