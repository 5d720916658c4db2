"""What a repository says of its model: values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

HubName = Literal["HuggingFace", "ModelScope"]
HUBS: Final[tuple[HubName, ...]] = ("HuggingFace", "ModelScope")

MetadataValue = str | int | float | bool | Sequence[Any]
"""A value of a GGUF header; a sequence holds values of one type."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository.

    Attributes:
        path: within the repository, with `/`.
        size_bytes: None where the hub does not tell.
        digest: of the content: 64 hexadecimal digits are its SHA-256, 40 the SHA-1 that git gives
            a blob; None where the hub does not tell.
    """

    path: str
    size_bytes: int | None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class DtypeTotal:
    """All tensors of one dtype in the safetensors files.

    Attributes:
        tensors: how many.
        elements: as the header counts them; a packed 4-bit tensor counts its containers.
        size_bytes: of their data.
    """

    tensors: int
    elements: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SafetensorsFacts:
    """The safetensors files that hold the model, by their headers.

    Attributes:
        files: paths, in the order of their names.
        index_total_bytes: `metadata.total_size` of the index; None without one.
        dtypes: totals by dtype as the format names it (`BF16`, `F8_E4M3`, `I32`), by name.
    """

    files: tuple[str, ...]
    index_total_bytes: int | None
    dtypes: Mapping[str, DtypeTotal]

    @property
    def tensor_bytes(self) -> int:
        """Bytes of all tensors by the headers, which no index can contradict."""
        return sum(total.size_bytes for total in self.dtypes.values())


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor of a GGUF file.

    Attributes:
        name: e.g. `blk.0.attn_q.weight`.
        type_name: as llama.cpp prints it, e.g. `Q4_K`; `type 99` where the number is not known.
        shape: in the order of the file: the innermost dimension first.
        size_bytes: place it takes in the file, up to the next tensor (padding included).
    """

    name: str
    type_name: str
    shape: tuple[int, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The header of a GGUF model; of a split one, of all its files together.

    Attributes:
        metadata: keys and values without long lists such as the vocabulary.
        list_lengths: length of every list in the metadata, the long ones included.
        tensors: in the order of the files.
    """

    metadata: Mapping[str, MetadataValue]
    list_lengths: Mapping[str, int]
    tensors: tuple[GgufTensor, ...]

    @property
    def tensor_bytes(self) -> int:
        """Bytes of all tensors, padding between them included."""
        return sum(tensor.size_bytes for tensor in self.tensors)


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """One GGUF model of a repository: one file, or the parts of a split one.

    Attributes:
        name: of the file, without folder, part number and `.gguf`.
        files: paths, in the order of the parts.
        file_bytes: of all parts; None where the hub does not tell.
        header: None unless it was asked for, or the only one.
    """

    name: str
    files: tuple[str, ...]
    file_bytes: int | None
    header: GgufHeader | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a repository holds at one commit.

    Attributes:
        hub: where it is.
        repository: its name, e.g. `Qwen/Qwen3-8B`.
        revision: branch, tag or commit that was asked for.
        commit: the commit that the revision meant; facts of one commit never change.
        gated: whether its files are given only to accounts that accepted its conditions; None
            where the hub does not tell.
        private: None where the hub does not tell.
        files: all files, by path.
        config: `config.json`; None where there is none, e.g. beside GGUF files alone.
        quantization_config: of its own file, where `config.json` has none (ModelOpt, AutoGPTQ).
        safetensors: None without such files.
        gguf: the GGUF models, by name.
        from_cache: whether they were read from the cache.
    """

    hub: HubName
    repository: str
    revision: str
    commit: str
    gated: bool | None
    private: bool | None
    files: tuple[HubFile, ...]
    config: Mapping[str, Any] | None
    quantization_config: Mapping[str, Any] | None
    safetensors: SafetensorsFacts | None
    gguf: tuple[GgufFacts, ...]
    from_cache: bool = False
