"""What may be served: publications that the spec allows and an engine loads, best first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from llama_operator.api.enums import EngineType, ModelFormat
from llama_operator.api.reasons import Reason
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.rows import (
    EngineHost,
    EngineVersion,
    Model,
    Publication,
    Scheme,
)
from llama_operator.engines.engine import Engine
from llama_operator.engines.registry import engine as engine_named
from llama_operator.errors import SizingError, SpecError
from llama_operator.sizing.architectures import shape_of
from llama_operator.sizing.checkpoints import checkpoint_bytes, download_bytes
from llama_operator.sizing.models.model import ModelShape

ENGINE_FORMATS: Final[Mapping[EngineType, frozenset[ModelFormat]]] = {
    EngineType.VLLM: frozenset(
        {ModelFormat.PYTORCH, ModelFormat.FP8, ModelFormat.AWQ, ModelFormat.GPTQ}
    ),
}
"""Formats of the repositories that each engine loads; which schemes is the engine's to say."""
DEFAULT_ENGINE: Final = EngineType.VLLM
UNBOUNDED_CAPABILITY: Final = (99, 0)
"""A compute capability that no kernel asks more than: what is refused here is refused always."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One publication of the model and the engine that would serve it.

    `shape` is what its sizes follow from, the same object in every choice of the model.
    """

    model: Model
    shape: ModelShape
    publication: Publication
    scheme: Scheme
    engine: Engine
    version: EngineVersion
    host: EngineHost
    image: str

    @property
    def download_bytes(self) -> int:
        """Bytes of its files: 16-bit weights where the engine quantizes them itself."""
        row = self.publication
        return row.file_bytes or download_bytes(
            self.shape, self.scheme, quantize_at_load=row.quantize_at_load
        )

    @property
    def title(self) -> str:
        """Model, size, format and quantization for people."""
        row = self.publication
        return f"{row.model} {row.size} in {row.format} ({row.quantization})"

    @property
    def context_length(self) -> int:
        """Longest context in tokens that the model was made for."""
        return self.model.context_length


def choices(spec: LlamaDeploymentSpec, catalog: Catalog) -> tuple[Choice, ...]:
    """Publications that the spec allows, in order of preference; one unless the format is Auto.

    Raises:
        SpecError: nothing is published so, or no engine loads it; the reason says which.
    """
    if spec.size is None:
        raise SpecError("spec.size", "size is required with a catalog model; write e.g. size: 70b")
    if spec.format is not ModelFormat.AUTO:
        row = catalog.resolve(spec.model, spec.size, spec.format, spec.quantization, spec.hub)
        why = obstacle(row, spec.engine.type, catalog)
        if why is not None:
            raise _not_loaded(spec, row, why, catalog)
        return (_choice(spec, row, catalog),)
    rows = catalog.auto_candidates(spec.model, spec.size, spec.hub)
    loaded = [row for row in rows if obstacle(row, spec.engine.type, catalog) is None]
    if not loaded:
        raise _not_loaded(spec, rows[0], "no engine loads what Auto may choose", catalog)
    return tuple(_choice(spec, row, catalog) for row in loaded)


def loadable(spec: LlamaDeploymentSpec, catalog: Catalog) -> tuple[Choice, ...]:
    """Every publication of the model on the spec's hub that an engine loads, best quality first.

    Empty when the catalog does not have the model, or no engine serves it.
    """
    try:
        model = catalog.model(spec.model, spec.size or "")
        rows = catalog.publications(spec.model, spec.size or "")
    except SpecError:
        return ()
    if model.architecture is None:
        return ()
    found = [
        _choice(spec, row, catalog)
        for row in rows
        if row.hub == spec.hub
        and row.publisher_rank == 1
        and obstacle(row, spec.engine.type, catalog) is None
    ]
    return tuple(
        sorted(
            found,
            key=lambda choice: (
                choice.publication.auto_rank or len(ModelFormat),
                -checkpoint_bytes(choice.shape, choice.scheme),
                choice.publication.quantization,
            ),
        )
    )


def obstacle(row: Publication, engine_type: EngineType, catalog: Catalog) -> str | None:
    """Why the engine loads a publication on no GPU at all; None when it does."""
    name = DEFAULT_ENGINE if engine_type is EngineType.AUTO else engine_type
    formats = ENGINE_FORMATS.get(name, frozenset())
    if row.format not in formats:
        return f"{name} does not load {row.format}; it loads {', '.join(sorted(formats))}"
    scheme = catalog.scheme(row.scheme)
    refusal = engine_named(name).refusal(scheme.name, UNBOUNDED_CAPABILITY)
    if refusal is not None:
        return refusal
    architecture = catalog.model(row.model, row.size).architecture
    if architecture is None:
        return f"the memory of {row.model} {row.size} is not known"
    try:
        shape_of(architecture)
    except SizingError as error:
        return f"the memory of {row.model} {row.size} is not known: {error}"
    return None


def _choice(spec: LlamaDeploymentSpec, row: Publication, catalog: Catalog) -> Choice:
    model = catalog.model(row.model, row.size)
    if model.architecture is None:
        message = f"{row.model} {row.size} has no architecture in the catalog"
        raise SpecError("spec.model", message, reason=Reason.MODEL_NOT_SERVABLE)
    name = DEFAULT_ENGINE if spec.engine.type is EngineType.AUTO else spec.engine.type
    version = catalog.engine(name)
    scheme = catalog.scheme(row.scheme)
    shape = shape_of(model.architecture)
    return Choice(
        model=model,
        shape=shape,
        publication=row,
        scheme=scheme,
        engine=engine_named(name),
        version=version,
        host=catalog.host(version.engine),
        image=spec.engine.image or version.image,
    )


def _not_loaded(
    spec: LlamaDeploymentSpec, row: Publication, why: str, catalog: Catalog
) -> SpecError:
    published = dict.fromkeys(
        f"format {choice.publication.format} ({choice.publication.quantization})"
        for choice in loadable(spec, catalog)
    )
    instead = f"; published and loaded: {', '.join(published)}" if published else ""
    what = f"{row.model} {row.size} in {row.format} ({row.quantization})"
    return SpecError("spec.format", f"{what}: {why}{instead}", reason=Reason.UNSUPPORTED_FORMAT)
