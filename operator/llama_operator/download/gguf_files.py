"""Which files of a repository make up one GGUF model, and which model is meant."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from llama_operator.download.facts import GgufFacts, GgufHeader, HubFile
from llama_operator.errors import HubContentError, InputError
from llama_operator.units import format_gib

SUFFIX: Final = ".gguf"
PROJECTOR: Final = "mmproj"
"""Files whose name starts so hold the vision tower beside the model, not a model."""
IMATRIX: Final = "imatrix"
"""Files whose name ends so hold what a quantization was steered by, not a model."""

_PART = re.compile(r"^(?P<stem>.+)-(?P<part>[0-9]{5})-of-(?P<parts>[0-9]{5})$")
_NAMES_SHOWN: Final = 40


def gguf_models(files: Iterable[HubFile]) -> tuple[GgufFacts, ...]:
    """The GGUF models among the files, by path; parts of a split one belong together."""
    parts: dict[str, list[HubFile]] = {}
    for file in sorted(files, key=lambda file: file.path):
        if file.path.lower().endswith(SUFFIX):
            stem = file.path[: -len(SUFFIX)]
            match = _PART.match(stem)
            key = stem if match is None else f"{match['stem']} of {match['parts']}"
            parts.setdefault(key, []).append(file)
    return tuple(_model(found) for found in parts.values())


def _model(parts: Sequence[HubFile]) -> GgufFacts:
    stem = parts[0].path.rpartition("/")[2][: -len(SUFFIX)]
    match = _PART.match(stem)
    sizes = [part.size_bytes for part in parts if part.size_bytes is not None]
    return GgufFacts(
        name=stem if match is None else match["stem"],
        files=tuple(part.path for part in parts),
        file_bytes=sum(sizes) if len(sizes) == len(parts) else None,
    )


def check_parts(model: GgufFacts) -> None:
    """Check that a split model has all its parts.

    Raises:
        HubContentError: some are missing.
    """
    match = _PART.match(model.files[0][: -len(SUFFIX)])
    if match is not None and len(model.files) != int(match["parts"]):
        msg = f"{model.name} has {len(model.files)} of its {int(match['parts'])} files"
        raise HubContentError(msg)


def meant(models: Sequence[GgufFacts], wanted: str | None) -> GgufFacts | None:
    """The model that a name, a path or the end of a name such as `Q4_K_M` means.

    Args:
        models: of the repository.
        wanted: None means the only one there is.

    Returns:
        None when nothing is wanted and there is not exactly one.

    Raises:
        InputError: none is meant, or several.
    """
    served = served_models(models)
    if wanted is None:
        return served[0] if len(served) == 1 else None
    found = matching(models, wanted)
    if len(found) == 1:
        return found[0]
    problem = "means several" if found else "is none"
    msg = f"GGUF file {wanted:.80} {problem} of the repository; it has {listed(found or served)}"
    raise InputError(msg)


def matching(models: Iterable[GgufFacts], wanted: str) -> list[GgufFacts]:
    """The models of this name or path, else those whose name ends so; case does not matter."""
    models = list(models)
    word = wanted.lower()
    exact = [
        model for model in models if word in {model.name.lower(), *map(str.lower, model.files)}
    ]
    ending = re.compile(rf"(?:^|[-._]){re.escape(word)}$")
    return exact or [model for model in served_models(models) if ending.search(model.name.lower())]


def served_models(models: Iterable[GgufFacts]) -> list[GgufFacts]:
    """The models among them, without projectors and importance matrices."""
    return [
        model
        for model in models
        if not model.name.lower().startswith(PROJECTOR) and not model.name.lower().endswith(IMATRIX)
    ]


def listed(models: Sequence[GgufFacts]) -> str:
    """Names and sizes for a message, by name."""
    ordered = sorted(models, key=lambda model: model.name)
    names = [
        model.name if model.file_bytes is None else f"{model.name} ({format_gib(model.file_bytes)})"
        for model in ordered[:_NAMES_SHOWN]
    ]
    if len(ordered) > _NAMES_SHOWN:
        names.append(f"{len(ordered) - _NAMES_SHOWN} more")
    return ", ".join(names) or "no GGUF model"


def together(headers: Sequence[GgufHeader]) -> GgufHeader:
    """The header of a split model: metadata of the first part, tensors of all."""
    return replace(
        headers[0], tensors=tuple(tensor for header in headers for tensor in header.tensors)
    )
