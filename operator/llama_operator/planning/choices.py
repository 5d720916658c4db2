"""What may be served: publications that the spec allows and engines that load them, best first."""

from collections.abc import Iterator
from dataclasses import dataclass

from llama_operator.api.enums import CacheKind, EngineType, ModelFormat
from llama_operator.api.reasons import Reason
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.refusals import listed
from llama_operator.catalog.rows import (
    EngineHost,
    EngineVersion,
    Model,
    Publication,
    Scheme,
)
from llama_operator.engines.arguments import check_engine
from llama_operator.engines.engine import Engine
from llama_operator.engines.loading import auto_rank, load_refusal
from llama_operator.engines.registry import engine as engine_named
from llama_operator.errors import SizingError, SpecError
from llama_operator.sizing.architectures import shape_of
from llama_operator.sizing.checkpoints import checkpoint_bytes, download_bytes
from llama_operator.sizing.host import model_disk_bytes
from llama_operator.sizing.models.model import ModelShape


@dataclass(frozen=True, slots=True)
class Choice:
    """One publication of the model and an engine that would serve it.

    `shape` is what its sizes follow from, the same object in every choice of the model. `preferred`
    are engines that come first for this publication: GPUs on which one of them runs are theirs.
    `cache`: kind of the volume that holds its files.
    """

    model: Model
    shape: ModelShape
    publication: Publication
    scheme: Scheme
    engine: Engine
    version: EngineVersion
    host: EngineHost
    preferred: tuple[EngineVersion, ...] = ()
    cache: CacheKind | None = None

    @property
    def download_bytes(self) -> int:
        """Bytes of its files: 16-bit weights where the engine quantizes them itself."""
        row = self.publication
        return row.file_bytes or download_bytes(
            self.shape, self.scheme, quantize_at_load=row.quantize_at_load
        )

    @property
    def model_disk_bytes(self) -> int:
        """Disk that its files take."""
        return model_disk_bytes(self.download_bytes, self.scheme)

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
    """Publications that the spec allows with their engines, in order of preference.

    There is one publication unless the format is Auto, and one engine for each unless that is Auto.

    Raises:
        SpecError: nothing is published so, or no engine serves it; the reason says which.
    """
    if spec.size is None:
        raise SpecError("spec.size", "size is required with a catalog model; write e.g. size: 70b")
    if spec.format is not ModelFormat.AUTO:
        rows = [
            catalog.resolve(spec.model, spec.size, spec.format, spec.quantization, spec.hub),
        ]
    else:
        rows = list(catalog.auto_candidates(spec.model, spec.size, spec.hub))
    _check_version(spec, catalog)
    tried = [_served(spec, row, catalog) for row in rows]
    found = tuple(choice for served in tried for choice in served.choices)
    if not found:
        raise tried[0].refusal or _not_loaded(spec, rows[0], tried[0].why, catalog)
    return found


def loadable(spec: LlamaDeploymentSpec, catalog: Catalog) -> tuple[Choice, ...]:
    """Every publication of the model on the spec's hub that an engine serves, best quality first.

    Each with its first engine. Empty when the catalog does not have the model, or none serves it.
    """
    try:
        catalog.model(spec.model, spec.size or "")
        rows = catalog.publications(spec.model, spec.size or "")
    except SpecError:
        return ()
    found = [
        served.choices[0]
        for row in rows
        if row.hub == spec.hub
        and row.publisher_rank == 1
        and (served := _served(spec, row, catalog)).choices
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


def engines_that_load(row: Publication, catalog: Catalog) -> tuple[EngineVersion, ...]:
    """Engines in their default versions that load a publication, in the order of Auto."""
    versions = (version for version in catalog.tables.engines if version.default)
    ranked = ((auto_rank(version, row.scheme, row.format), version) for version in versions)
    loading = [
        (rank, version) for rank, version in ranked if rank and _refusal(row, version) is None
    ]
    return tuple(version for _, version in sorted(loading, key=lambda pair: pair[0]))


@dataclass(frozen=True, slots=True)
class _Served:
    """What comes of one publication: choices, or a field that refuses it, or why none loads it."""

    choices: tuple[Choice, ...] = ()
    refusal: SpecError | None = None
    why: str = ""


def _served(spec: LlamaDeploymentSpec, row: Publication, catalog: Catalog) -> _Served:
    """One publication with each engine that serves it as the spec asks."""
    model, scheme = catalog.model(row.model, row.size), catalog.scheme(row.scheme)
    try:
        shape = _shape(model)
        versions, why = _asked_engines(spec, row, catalog)
        able = tuple(version for version in versions if _follows(spec, version))
        if versions and not able:
            check_engine(spec, versions[0])
    except SpecError as error:
        return _Served(refusal=error)
    return _Served(
        choices=tuple(
            Choice(
                model=model,
                shape=shape,
                publication=row,
                scheme=scheme,
                engine=engine_named(version.engine),
                version=version,
                host=catalog.host(version.engine),
                preferred=able[:index],
                cache=spec.cache.kind if spec.cache is not None else None,
            )
            for index, version in enumerate(able)
        ),
        why=why,
    )


def _follows(spec: LlamaDeploymentSpec, version: EngineVersion) -> bool:
    try:
        check_engine(spec, version)
    except SpecError:
        return False
    return True


def _check_version(spec: LlamaDeploymentSpec, catalog: Catalog) -> None:
    """Check that the engine version is one of the catalog's.

    Raises:
        SpecError: it is not, or no engine stands beside it.
    """
    if spec.engine.type is not EngineType.AUTO:
        catalog.engine(spec.engine.type, spec.engine.version)
    elif spec.engine.version is not None:
        raise SpecError(
            "spec.engine.version", "needs an engine beside it; write for example type: vLLM"
        )


def _asked_engines(
    spec: LlamaDeploymentSpec, row: Publication, catalog: Catalog
) -> tuple[tuple[EngineVersion, ...], str]:
    """The engine that the spec names, or all that Auto may take; and why there is none."""
    if spec.engine.type is EngineType.AUTO:
        found = engines_that_load(row, catalog)
        if spec.engine.image is not None:
            found = found[:1]  # an image is of one engine
        return found, "" if found else "no engine loads it"
    version = catalog.engine(spec.engine.type, spec.engine.version)
    refusal = _refusal(row, version)
    return ((version,), "") if refusal is None else ((), refusal)


def _refusal(row: Publication, version: EngineVersion) -> str | None:
    """Why an engine loads a publication on no GPU at all; None when it does."""
    if row.engines and version.engine not in row.engines:
        return f"{version.engine} is none of the engines of this row: {', '.join(row.engines)}"
    return load_refusal(version, row.scheme, row.format, quantize_at_load=row.quantize_at_load)


def _shape(model: Model) -> ModelShape:
    what = f"{model.name} {model.size}"
    if model.architecture is None:
        message = f"{what} has no architecture in the catalog"
        raise SpecError("spec.model", message, reason=Reason.MODEL_NOT_SERVABLE)
    try:
        return shape_of(model.architecture)
    except SizingError as error:
        message = f"the memory of {what} is not known: {error}"
        raise SpecError("spec.model", message, reason=Reason.UNSUPPORTED_FORMAT) from None


def _not_loaded(
    spec: LlamaDeploymentSpec, row: Publication, why: str, catalog: Catalog
) -> SpecError:
    what = f"{row.model} {row.size} in {row.format} ({row.quantization})"
    return SpecError(
        "spec.engine.type" if engines_that_load(row, catalog) else "spec.format",
        f"{what}: {why}{''.join(_instead(spec, row, catalog))}",
        reason=Reason.UNSUPPORTED_FORMAT,
    )


def _instead(spec: LlamaDeploymentSpec, row: Publication, catalog: Catalog) -> Iterator[str]:
    """What would do: other engines, or other formats for the engine."""
    others = engines_that_load(row, catalog)
    if others:
        yield f"; engines that load it: {listed(version.engine for version in others)}"
    published = dict.fromkeys(
        f"format {choice.publication.format} ({choice.publication.quantization})"
        for choice in loadable(spec, catalog)
    )
    if published:
        engine = "" if spec.engine.type is EngineType.AUTO else f" by {spec.engine.type}"
        yield f"; published and loaded{engine}: {', '.join(published)}"
