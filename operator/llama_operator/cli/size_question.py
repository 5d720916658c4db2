"""From the arguments of `llama-operator size` to a model."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.rows import Model, Publication, Scheme
from llama_operator.errors import ConfigError, InputError, SizingError, SpecError
from llama_operator.nesting import DEPTH_LIMIT, is_deeper
from llama_operator.sizing.architectures import shape_of
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.nearest import Changes
from llama_operator.sizing.quantization_config import quantization_name
from llama_operator.sizing.scheme_names import UNQUANTIZED, scheme_for

AT_LOAD: Final = ("fp8-online",)
"""Schemes that vLLM makes of 16-bit weights while it loads them."""
CONFIG_BYTES_LIMIT: Final = 16 << 20
GGUF_SUFFIX: Final = ".gguf"
NOTHING_NAMED: Final = (
    "MODEL or --config is needed: a name of the catalog with its SIZE, e.g. llama-3.1-instruct "
    "70b, a repository, e.g. Qwen/Qwen3-8B, a config.json or a GGUF file"
)


@dataclass(frozen=True, slots=True)
class Subject:
    """The model that is asked about.

    Attributes:
        title: as people know it.
        repository: where it is published; empty for a file.
        shape: its tensors.
        scheme: how its weights are stored.
        others: other quantizations, each with the options that choose it.
        stored_bytes: weights as the repository holds them; None where that is not known.
        tensor_bytes: of all tensors of a GGUF file whose header was read; None for others.
        largest_file_bytes: of its files with weights; None where they are not known.
        note: how they differ from what is computed; empty where they do not.
        quantize_at_load: whether the repository holds 16-bit weights that the engine quantizes.
    """

    title: str
    repository: str
    shape: ModelShape
    scheme: Scheme
    others: tuple[tuple[Changes, Scheme], ...]
    stored_bytes: int | None = None
    note: str = ""
    quantize_at_load: bool = False
    tensor_bytes: int | None = None
    largest_file_bytes: int | None = None


def read_subject(arguments: argparse.Namespace, catalog: Catalog) -> Subject:
    """The model of the arguments.

    Raises:
        InputError: no model is named, or something that does not exist; names what does.
        HubUnreachableError: a hub does not answer.
    """
    if arguments.config is not None:
        if arguments.model is not None:
            msg = "MODEL and --config exclude each other"
            raise InputError(msg)
        return _of_file(arguments)
    if arguments.model is None:
        raise InputError(NOTHING_NAMED)
    if "/" in arguments.model:
        if arguments.size is not None:
            msg = f"SIZE {arguments.size!r}: a repository has no sizes"
            raise InputError(msg)
        # Imported here: no other way to name a model needs a network.
        from llama_operator.cli.size_repository import subject_of_repository

        return subject_of_repository(arguments)
    if arguments.size is None:
        sizes = [row.size for row in catalog.tables.models if row.name == arguments.model]
        known = f"sizes are {', '.join(sizes)}" if sizes else _known_models(catalog)
        msg = f"SIZE is needed beside MODEL {arguments.model!r}: {known}"
        raise InputError(msg)
    return _of_catalog(arguments, catalog)


def read_config_file(path: Path) -> Mapping[str, Any]:
    """The object of a config.json, or of the one in a folder.

    Raises:
        InputError: it cannot be read or is no JSON object.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        if file.stat().st_size > CONFIG_BYTES_LIMIT:
            msg = f"--config {file}: more than {CONFIG_BYTES_LIMIT >> 20} MiB are no config.json"
            raise InputError(msg)
        found = json.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        msg = f"--config {file} cannot be read: {error.strerror}"
        raise InputError(msg) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        msg = f"--config {file} is no JSON: {error}"
        raise InputError(msg) from None
    except (ValueError, RecursionError):
        msg = f"--config {file} is no config.json: its numbers or its nesting have no end"
        raise InputError(msg) from None
    if not isinstance(found, dict):
        msg = f"--config {file} holds no JSON object"
        raise InputError(msg)
    if is_deeper(found, DEPTH_LIMIT):
        msg = f"--config {file} nests more than {DEPTH_LIMIT} objects and lists"
        raise InputError(msg)
    return found


def _of_file(arguments: argparse.Namespace) -> Subject:
    path: Path = arguments.config
    if path.suffix.lower() == GGUF_SUFFIX:
        # Imported here: what reads such files is not needed elsewhere.
        from llama_operator.cli.size_gguf import subject_of_file

        return subject_of_file(path, one_quantization(arguments), arguments)
    return subject_of_config(read_config_file(path), str(path), "", arguments)


def subject_of_config(
    config: Mapping[str, Any], title: str, repository: str, arguments: argparse.Namespace
) -> Subject:
    """The model of a configuration.

    Args:
        config: a whole `config.json`.
        title: names it in the answer and in errors.
        repository: where it is from; empty for a file.
        arguments: of the command.

    Raises:
        InputError: it does not describe a model that can be sized.
    """
    check_no_format(arguments)
    source = f"MODEL {repository!r}" if repository else f"--config {title}"
    named = one_quantization(arguments)
    try:
        shape = model_shape(config, name=repository or title)
        scheme = scheme_for(named or quantization_name(config))
    except ConfigError as error:
        msg = f"{source}: {error}"
        raise InputError(msg) from None
    except SizingError as error:
        msg = f"{source if named is None else '--quantization'}: {error}"
        raise InputError(msg) from None
    made = AT_LOAD if scheme.name == UNQUANTIZED else ()
    others = tuple(((("--quantization", name),), scheme_for(name)) for name in made)
    return Subject(title, repository, shape, scheme, others)


def check_no_format(arguments: argparse.Namespace) -> None:
    """Check that no format is named.

    Raises:
        InputError: one is.
    """
    if arguments.format is not None:
        msg = "--format is for models of the catalog; --quantization names a scheme"
        raise InputError(msg)


def _of_catalog(arguments: argparse.Namespace, catalog: Catalog) -> Subject:
    try:
        model = catalog.model(arguments.model, arguments.size)
        shape = catalog_shape(model)
        scheme, publication = _published(arguments, catalog, model)
    except SpecError as error:
        field = error.field.removeprefix("spec.")
        option = {"model": "MODEL", "size": "SIZE"}.get(field, f"--{field}")
        msg = f"{option}: {error.message}"
        raise InputError(msg) from None
    except SizingError as error:
        raise InputError(str(error)) from None
    rows = catalog.publications(model.name, model.size)
    others = {
        (row.format, row.quantization): (
            (("--format", row.format), ("--quantization", row.quantization)),
            catalog.scheme(row.scheme),
        )
        for row in rows
        if row.hub == arguments.hub and row.publisher_rank == 1 and row.scheme != scheme.name
    }
    repository = publication.repository if publication else ""
    title = f"{model.name} {model.size}"
    return Subject(
        title,
        repository,
        shape,
        scheme,
        tuple(others.values()),
        quantize_at_load=publication is not None and publication.quantize_at_load,
    )


def catalog_shape(model: Model) -> ModelShape:
    """The shape of a catalog's model.

    Raises:
        InputError: the model cannot be served.
    """
    if model.architecture is None:
        msg = f"MODEL: {model.name} {model.size} cannot be sized: {model.not_servable}"
        raise InputError(msg)
    return shape_of(model.architecture)


def _published(
    arguments: argparse.Namespace, catalog: Catalog, model: Model
) -> tuple[Scheme, Publication | None]:
    """The scheme of the arguments and, with a format, the publication that holds it."""
    quantization = one_quantization(arguments)
    where = model.name, model.size
    if arguments.format is not None:
        row = catalog.resolve(*where, arguments.format, quantization, arguments.hub)
        return catalog.scheme(row.scheme), row
    if quantization is not None:
        return scheme_for(quantization), None
    for row in catalog.publications(*where):
        if row.scheme == UNQUANTIZED and row.hub == arguments.hub and row.publisher_rank == 1:
            return catalog.scheme(row.scheme), row
    return scheme_for(UNQUANTIZED), None


def one_quantization(arguments: argparse.Namespace) -> str | None:
    """The quantization that is named; None for none, and with `--sweep`.

    Raises:
        InputError: several are, without `--sweep`.
    """
    names = arguments.quantization or [None]
    if len(names) > 1 and not arguments.sweep:
        msg = "--quantization: several only with --sweep"
        raise InputError(msg)
    return names[0] if len(names) == 1 and not arguments.sweep else None


def _known_models(catalog: Catalog) -> str:
    names = sorted({row.name for row in catalog.tables.models})
    return f"the catalog has {', '.join(names)}; a repository is named owner/name"
