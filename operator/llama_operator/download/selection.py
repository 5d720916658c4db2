"""Which files of a repository an engine reads: all that a prefetch takes, and nothing else."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Final

from llama_operator.catalog.tables import read_table
from llama_operator.download import gguf_files
from llama_operator.download.facts import HubFile, ModelFacts
from llama_operator.download.reading import INDEX
from llama_operator.errors import HubContentError, InputError

CONFIG: Final = "config.json"
BIN_INDEX: Final = "pytorch_model.bin.index.json"
BIN_WEIGHTS: Final = "pytorch_model*.bin"
"""What engines read where there are no safetensors."""
ADAPTER_CONFIG: Final = "adapter_config.json"
ADAPTER_WEIGHTS: Final = ("adapter_model.safetensors", "adapter_model.bin", "adapters.safetensors")


def files_to_fetch(facts: ModelFacts, gguf_paths: Sequence[str] = ()) -> tuple[HubFile, ...]:
    """The files of a repository that an engine reads.

    Without `gguf_paths` those of a folder for transformers: one copy of the weights, its index,
    configuration, tokenizer and chat template; of a repository with a single GGUF model, that.

    Args:
        facts: of the repository.
        gguf_paths: GGUF files; all parts of a split one when one of them is named.

    Returns:
        In the order in which they are given to readers: what names others comes after them, and
        `config.json` last.

    Raises:
        InputError: a path is no GGUF file of the repository, or one must be chosen.
        HubContentError: there are no weights, or parts of a split file are missing.
    """
    paths = list(_gguf(facts, gguf_paths) if gguf_paths else _folder(facts))
    by_path = {file.path: file for file in facts.files}
    return tuple(by_path[path] for path in dict.fromkeys(paths))


def adapter_files_to_fetch(facts: ModelFacts) -> tuple[HubFile, ...]:
    """The files of an adapter that an engine reads, `adapter_config.json` last.

    Args:
        facts: of its repository.

    Raises:
        HubContentError: it is no adapter in the form of PEFT or mlx-lm.
    """
    found = [
        file for file in facts.files if any(fnmatchcase(file.path, one) for one in _of_adapters())
    ]
    paths = {file.path for file in found}
    if ADAPTER_CONFIG not in paths or not paths & set(ADAPTER_WEIGHTS):
        msg = (
            f"{facts.repository} is no LoRA adapter: it lacks {ADAPTER_CONFIG} or one of "
            f"{', '.join(ADAPTER_WEIGHTS)}"
        )
        raise HubContentError(msg)
    return tuple(sorted(found, key=lambda file: (file.path == ADAPTER_CONFIG, file.path)))


def _gguf(facts: ModelFacts, wanted: Sequence[str]) -> Iterator[str]:
    for path in wanted:
        model = next((model for model in facts.gguf if path in model.files), None)
        if model is None:
            msg = (
                f"--file {path!r:.100} is no GGUF file of {facts.repository}; it has "
                f"{_names(file for one in facts.gguf for file in one.files)}"
            )
            raise InputError(msg)
        gguf_files.check_parts(model)
        yield from reversed(model.files)


def _folder(facts: ModelFacts) -> Iterator[str]:
    paths = [file.path for file in facts.files]
    if facts.safetensors is not None:
        weights, index = list(facts.safetensors.files), INDEX
    else:
        weights, index = [path for path in paths if fnmatchcase(path, BIN_WEIGHTS)], BIN_INDEX
    if not weights:
        yield from _only_gguf(facts)
        return
    yield from weights
    beside = [path for path in paths if path == index or _is_beside(path)]
    yield from sorted(beside, key=lambda path: (path in (index, CONFIG), path == CONFIG, path))


def _only_gguf(facts: ModelFacts) -> Iterator[str]:
    models = gguf_files.served_models(facts.gguf)
    if not models:
        msg = f"{facts.repository} has no weights that an engine reads: safetensors, .bin or GGUF"
        raise HubContentError(msg)
    if len(models) > 1:
        msg = (
            f"{facts.repository} has several GGUF models, so --file must name one: "
            f"{_names(model.files[0] for model in models)}"
        )
        raise InputError(msg)
    yield from _gguf(facts, [models[0].files[0]])


def _is_beside(path: str) -> bool:
    return any(
        fnmatchcase(path, pattern) and path.count("/") == pattern.count("/")
        for pattern in _patterns()
    )


@cache
def _patterns() -> tuple[str, ...]:
    columns = {"pattern", "source"}
    return tuple(row.text("pattern") for row in read_table("repository_files.csv", columns))


@cache
def _of_adapters() -> tuple[str, ...]:
    columns = {"pattern", "source"}
    return tuple(row.text("pattern") for row in read_table("adapter_files.csv", columns))


def _names(paths: Iterator[str]) -> str:
    shown = sorted(paths)
    more = f" and {len(shown) - 40} more" if len(shown) > 40 else ""
    return (", ".join(shown[:40]) or "none") + more
