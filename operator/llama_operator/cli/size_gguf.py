"""GGUF files for `llama-operator size`: the header tells the model and the mix."""

import argparse
from pathlib import Path

from llama_operator.catalog.rows import Scheme
from llama_operator.cli.size_question import Subject, check_no_format
from llama_operator.download.compare import compare_gguf
from llama_operator.download.facts import GgufFacts, GgufHeader, ModelFacts
from llama_operator.download.gguf_files import matching
from llama_operator.download.local_gguf import local_gguf
from llama_operator.errors import HubError, InputError, SizingError
from llama_operator.sizing.checkpoints import checkpoint_bytes
from llama_operator.sizing.gguf_header import (
    file_type_of,
    gguf_shape,
    is_known_architecture,
    named_file_type,
)
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.nearest import Changes
from llama_operator.sizing.scheme_names import scheme_for


def subject_of_file(path: Path, quantization: str | None, arguments: argparse.Namespace) -> Subject:
    """The model in a GGUF file of this machine, under another quantization where one is named.

    Raises:
        InputError: the file cannot be read, or its model cannot be sized.
    """
    check_no_format(arguments)
    try:
        model = local_gguf(path)
        header = _header(model)
        shape = _shape(header, model.name, None)
        own = file_type_of(shape, header.metadata, model.name, header.tensor_bytes)
        scheme = scheme_for(quantization or own)
    except InputError as error:
        msg = f"--config {error}"
        raise InputError(msg) from None
    except (HubError, SizingError) as error:
        msg = f"--config {path}: {error}"
        raise InputError(msg) from None
    if scheme != scheme_for(own):
        return Subject(model.name, "", shape, scheme, ())
    note = compare_gguf(model, checkpoint_bytes(shape, scheme)) or ""
    return Subject(
        model.name,
        "",
        shape,
        scheme,
        (),
        _stored_bytes(model),
        note,
        tensor_bytes=header.tensor_bytes,
    )


def subject_of_model(facts: ModelFacts, model: GgufFacts, arguments: argparse.Namespace) -> Subject:
    """A GGUF model of a repository, with its other ones as alternatives.

    A `config.json` beside it tells the shape where the architecture of the header is not known.

    Args:
        facts: of the repository.
        model: with its header.
        arguments: of the command.

    Raises:
        InputError: the model cannot be sized.
    """
    check_no_format(arguments)
    header = _header(model)
    try:
        shape = _shape(header, facts.repository, facts)
        scheme = scheme_for(file_type_of(shape, header.metadata, model.name, header.tensor_bytes))
    except SizingError as error:
        msg = f"MODEL {facts.repository!r}, {model.name}: {error}"
        raise InputError(msg) from None
    return Subject(
        title=model.name,
        repository=facts.repository,
        shape=shape,
        scheme=scheme,
        others=_others(facts, scheme),
        stored_bytes=_stored_bytes(model),
        note=compare_gguf(model, checkpoint_bytes(shape, scheme), facts) or "",
        tensor_bytes=header.tensor_bytes,
    )


def _header(model: GgufFacts) -> GgufHeader:
    if model.header is None:
        msg = f"the header of {model.name} was not read"
        raise InputError(msg)
    return model.header


def _shape(header: GgufHeader, name: str, facts: ModelFacts | None) -> ModelShape:
    if facts is not None and facts.config and not is_known_architecture(header.metadata):
        return model_shape(facts.config, name=name)
    tensors = {tensor.name for tensor in header.tensors}
    return gguf_shape(header.metadata, header.list_lengths, tensors, name=name)


def _stored_bytes(model: GgufFacts) -> int:
    return model.file_bytes or _header(model).tensor_bytes


def _others(facts: ModelFacts, scheme: Scheme) -> tuple[tuple[Changes, Scheme], ...]:
    """The other models of the repository, where `--quantization` names one of them alone."""
    names = {named_file_type(model.name) for model in facts.gguf} - {None, scheme.name}
    return tuple(
        ((("--quantization", name),), scheme_for(name))
        for name in sorted(name for name in names if name is not None)
        if len(matching(facts.gguf, name)) == 1
    )
