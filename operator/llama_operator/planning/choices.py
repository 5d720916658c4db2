"""What may be served: publications that the spec allows and engines that load them, best first."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from llama_operator.api.enums import CacheKind, EngineType, ModelFormat
from llama_operator.api.reasons import Reason
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.engine_memory import engine_memory
from llama_operator.catalog.refusals import listed
from llama_operator.catalog.rows import (
    EngineHost,
    EngineVersion,
    Model,
    Publication,
    Scheme,
)
from llama_operator.engines.arguments import check_extras, check_fields
from llama_operator.engines.engine import Engine
from llama_operator.engines.loading import auto_rank, publication_refusal
from llama_operator.engines.registry import engine as engine_named
from llama_operator.errors import SizingError, SpecError
from llama_operator.planning.adapters import planned_adapters
from llama_operator.planning.drafts import DraftChoice, check_draft, draft_choice
from llama_operator.sizing.adapters import Adapters, file_bytes
from llama_operator.sizing.architectures import shape_of
from llama_operator.sizing.checkpoints import checkpoint_bytes, download_bytes
from llama_operator.sizing.division import valid_tensor_parallel_sizes
from llama_operator.sizing.host import adapter_disk_bytes, model_disk_bytes
from llama_operator.sizing.models.model import ModelShape


@dataclass(frozen=True, slots=True)
class Choice:
    """One publication of the model and an engine that would serve it.

    `shape` is what its sizes follow from, the same object in every choice of the model. `preferred`
    are engines that come first for this publication: GPUs on which one of them runs are theirs.
    `left_out` are better publications that Auto passed over: they are gated, without a token.
    `cache`: kind of the volume that holds its files, and those of `adapters`. `draft` is the model
    that drafts tokens.
    """

    model: Model
    shape: ModelShape
    publication: Publication
    scheme: Scheme
    engine: Engine
    version: EngineVersion
    host: EngineHost
    preferred: tuple[EngineVersion, ...] = ()
    left_out: tuple[Publication, ...] = ()
    cache: CacheKind | None = None
    draft: DraftChoice | None = None
    adapters: Adapters | None = None

    @property
    def download_bytes(self) -> int:
        """Bytes of its files: 16-bit weights where the engine quantizes them itself."""
        row = self.publication
        return row.file_bytes or download_bytes(
            self.shape, self.scheme, quantize_at_load=row.quantize_at_load
        )

    @property
    def all_download_bytes(self) -> int:
        """Bytes of its files, of those of the draft model, and at most of its adapters'."""
        beside = 0 if self.adapters is None else file_bytes(self.shape, self.adapters)
        return self.download_bytes + beside + (self.draft.download_bytes if self.draft else 0)

    @property
    def model_disk_bytes(self) -> int:
        """Disk that its files take, and those of the draft model and of its adapters."""
        own = model_disk_bytes(self.download_bytes, self.scheme)
        beside = adapter_disk_bytes(self.shape, self.adapters)
        return own + beside + (self.draft.disk_bytes if self.draft else 0)

    @property
    def title(self) -> str:
        """Model, size, format and quantization for people, and the draft model."""
        row = self.publication
        drafts = f" with {self.draft.title} to draft" if self.draft else ""
        return f"{row.model} {row.size} in {row.format} ({row.quantization}){drafts}"

    @property
    def publications(self) -> tuple[Publication, ...]:
        """All that is downloaded."""
        return (self.publication, *((self.draft.publication,) if self.draft else ()))

    @property
    def tensor_parallel_sizes(self) -> tuple[int, ...]:
        """Numbers of GPUs that it can be divided over, and the draft model as well."""
        engine, draft = self.version.engine, self.draft
        own = valid_tensor_parallel_sizes(engine, self.shape, self.scheme)
        if draft is None:
            return own
        its = valid_tensor_parallel_sizes(engine, draft.shape, draft.scheme)
        return tuple(size for size in own if size in its)

    @property
    def context_length(self) -> int:
        """Longest context in tokens that the model was made for."""
        return self.model.context_length


def choices(spec: LlamaDeploymentSpec, catalog: Catalog) -> tuple[Choice, ...]:
    """Publications that the spec allows with their engines, in order of preference.

    There is one publication unless the format is Auto, and one engine for each unless that is Auto.
    Without a token Auto takes gated publications only where an engine serves no other.

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
    return _without_gated(spec, found) or found


def check_context(spec: LlamaDeploymentSpec, options: tuple[Choice, ...]) -> None:
    """Check that requests are no longer than the model's own context.

    Raises:
        SpecError: they are.
    """
    asked = spec.context.max_model_len
    longest = options[0].context_length
    if asked is not None and asked > longest:
        raise SpecError(
            "spec.context.maxModelLen",
            f"{asked:,} exceeds the context of {spec.model} {spec.size}; write at most {longest}",
            reason=Reason.CONTEXT_TOO_LONG,
        )


def loadable(spec: LlamaDeploymentSpec, catalog: Catalog) -> tuple[Choice, ...]:
    """Every publication of the model on the spec's hub that an engine serves, best quality first.

    Each with its first engine; no gated ones without a token. Empty when the catalog does not have
    the model, or none serves it.
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
        and not lacks_token(spec, row)
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


def lacks_token(spec: LlamaDeploymentSpec, row: Publication) -> bool:
    """Whether a publication is gated and the spec names no token that opens it."""
    return row.gated and spec.token_secret_ref is None


def token_required(row: Publication, catalog: Catalog) -> SpecError:
    """The refusal of a gated publication without a token; names an ungated copy if there is one."""
    copies = "".join(
        f"; or write hub: {copy.hub}, whose copy {copy.repository} is not gated"
        for copy in catalog.publications(row.model, row.size)
        if (copy.format, copy.quantization) == (row.format, row.quantization)
        and copy.publisher_rank == 1
        and not copy.gated
    )
    return SpecError(
        "spec.tokenSecretRef",
        f"{row.repository} on {row.hub} is gated: accept its licence there, make a Secret with a "
        "token of that account in this namespace, and write for example tokenSecretRef: "
        f"{{name: hf-token}}{copies}",
        reason=Reason.TOKEN_REQUIRED,
    )


def engines_that_load(row: Publication, catalog: Catalog) -> tuple[EngineVersion, ...]:
    """Engines in their default versions that load a publication, in the order of Auto."""
    versions = (version for version in catalog.tables.engines if version.default)
    ranked = ((auto_rank(version, row.scheme, row.format), version) for version in versions)
    loading = [
        (rank, version)
        for rank, version in ranked
        if rank and publication_refusal(row, version) is None
    ]
    return tuple(version for _, version in sorted(loading, key=lambda pair: pair[0]))


def _without_gated(spec: LlamaDeploymentSpec, found: tuple[Choice, ...]) -> tuple[Choice, ...]:
    """The choices that need no token which the spec lacks, each with the better ones left out."""
    kept: list[Choice] = []
    left_out: dict[Publication, None] = {}
    for choice in found:
        if lacks_token(spec, choice.publication):
            left_out[choice.publication] = None
        else:
            kept.append(replace(choice, left_out=tuple(left_out)) if left_out else choice)
    return tuple(kept)


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
        draft = draft_choice(spec, catalog)

        def check(spec: LlamaDeploymentSpec, version: EngineVersion) -> None:
            _check_fields(spec, version)
            if draft is not None:
                check_draft(spec, model, shape, draft, version)

        versions, why = _asked_engines(spec, row, catalog)
        able = tuple(version for version in versions if _passes(check, spec, version))
        if versions and not able:
            check(spec, versions[0])
        if able:
            # Arguments are of an engine: the one that is taken is told what they are in the way of.
            check_extras(spec, able[0])
        able = tuple(version for version in able if _passes(check_extras, spec, version))
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
                draft=draft,
                adapters=planned_adapters(spec),
            )
            for index, version in enumerate(able)
        ),
        why=why,
    )


def _passes(
    check: Callable[[LlamaDeploymentSpec, EngineVersion], None],
    spec: LlamaDeploymentSpec,
    version: EngineVersion,
) -> bool:
    try:
        check(spec, version)
    except SpecError:
        return False
    return True


def nodes_obstacle(spec: LlamaDeploymentSpec) -> SpecError | None:
    """Why a spec cannot be followed on several nodes, by any engine; None when it can."""
    if spec.cache is not None and spec.cache.is_of_one_node:
        return SpecError(
            "spec.cache.claim.accessMode",
            "a replica on several nodes mounts the claim on each; write ReadWriteMany",
        )
    if spec.speculative is not None:
        # SGLang refuses to start (sgl-project/sglang#37154); vLLM's drafts by lookup fail or are
        # not shown to work over stages (vllm-project/vllm#57817).
        return SpecError("spec.speculative", "drafts do not work on several nodes; leave it out")
    return None


def _check_fields(spec: LlamaDeploymentSpec, version: EngineVersion) -> None:
    """Check that an engine version can follow a spec, and its steps hold a prompt where they must.

    Raises:
        SpecError: it cannot; names the field.
    """
    check_fields(spec, version)
    asks_nodes = any((entry.nodes or 1) > 1 for entry in spec.hardware)
    if asks_nodes and (obstacle := nodes_obstacle(spec)) is not None:
        raise obstacle
    context, tokens = spec.context.max_model_len, spec.memory.max_num_batched_tokens
    whole = engine_memory(version.engine, version.numbers).whole_prefill_tokens
    if context is not None and tokens is not None and tokens < context <= whole:
        raise SpecError(
            "spec.memory.maxNumBatchedTokens",
            f"{version.engine} {version.version} takes a whole prompt in one step; "
            f"write at least {context}, or leave it out",
        )


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
    refusal = publication_refusal(row, version)
    return ((version,), "") if refusal is None else ((), refusal)


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
    published: dict[str, dict[str, None]] = {}
    for choice in loadable(spec, catalog):
        found = choice.publication
        published.setdefault(found.format, {})[found.quantization] = None
    if published:
        engine = "" if spec.engine.type is EngineType.AUTO else f" by {spec.engine.type}"
        formats = (f"{name} ({', '.join(kinds)})" for name, kinds in published.items())
        yield f"; published and loaded{engine}: {'; '.join(formats)}"
