"""The draft model of a spec: which files it has, and which engines take it beside the model."""

from dataclasses import dataclass

from llama_operator.api.features import DraftModelSpec
from llama_operator.api.reasons import Reason
from llama_operator.api.v1alpha1 import LlamaDeploymentSpec
from llama_operator.catalog.catalog import Catalog
from llama_operator.catalog.engine_drafts import engine_draft
from llama_operator.catalog.engine_tables import engine_load
from llama_operator.catalog.rows import EngineVersion, Model, Publication, Scheme
from llama_operator.engines.loading import publication_refusal
from llama_operator.errors import SizingError, SpecError
from llama_operator.sizing.architectures import shape_of
from llama_operator.sizing.checkpoints import download_bytes
from llama_operator.sizing.host import model_disk_bytes
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.settings import Draft

FIELD = "spec.speculative.draftModel"
_OWN_FIELDS = {
    "spec.model": "model",
    "spec.size": "size",
    "spec.format": "format",
    "spec.quantization": "quantization",
}


@dataclass(frozen=True, slots=True)
class DraftChoice:
    """The publication of a draft model, and what its sizes follow from."""

    model: Model
    shape: ModelShape
    publication: Publication
    scheme: Scheme

    @property
    def title(self) -> str:
        """Model, size, format and quantization for people."""
        row = self.publication
        return f"{row.model} {row.size} in {row.format} ({row.quantization})"

    @property
    def download_bytes(self) -> int:
        """Bytes of its files."""
        return self.publication.file_bytes or download_bytes(
            self.shape, self.scheme, quantize_at_load=False
        )

    @property
    def disk_bytes(self) -> int:
        """Disk that its files take."""
        return model_disk_bytes(self.download_bytes, self.scheme)

    @property
    def sized(self) -> Draft:
        """The same for sizing."""
        return Draft(self.shape, self.scheme)


def draft_model(spec: LlamaDeploymentSpec) -> DraftModelSpec | None:
    """What a spec says of a draft model; None without one."""
    return spec.speculative.draft_model if spec.speculative is not None else None


def draft_choice(spec: LlamaDeploymentSpec, catalog: Catalog) -> DraftChoice | None:
    """The publication of the spec's draft model; None without one.

    Raises:
        SpecError: the catalog does not have it, or its bytes are not known; names the field.
    """
    asked = draft_model(spec)
    if asked is None:
        return None
    try:
        row = catalog.resolve(asked.model, asked.size, asked.format, asked.quantization, spec.hub)
    except SpecError as error:
        field = _OWN_FIELDS.get(error.field)
        raise SpecError(
            f"{FIELD}.{field}" if field else error.field, error.message, reason=error.reason
        ) from None
    model = catalog.model(row.model, row.size)
    what = f"{model.name} {model.size}"
    if model.architecture is None:
        message = f"{what} has no architecture in the catalog"
        raise SpecError(f"{FIELD}.model", message, reason=Reason.MODEL_NOT_SERVABLE)
    try:
        shape = shape_of(model.architecture)
    except SizingError as error:
        message = f"the memory of {what} is not known: {error}"
        raise SpecError(f"{FIELD}.model", message, reason=Reason.UNSUPPORTED_FORMAT) from None
    return DraftChoice(model, shape, row, catalog.scheme(row.scheme))


def check_draft(
    spec: LlamaDeploymentSpec,
    model: Model,
    shape: ModelShape,
    draft: DraftChoice,
    version: EngineVersion,
) -> None:
    """Check that an engine version drafts for a model with a draft model, on any GPU at all.

    The catalog tells the sizes of vocabularies; that tokens mean the same is for the user to know.

    Args:
        spec: what to serve.
        model: that verifies.
        shape: of it.
        draft: that drafts.
        version: of the engine, which drafts with models.

    Raises:
        SpecError: it does not; names the field and what is allowed.
    """
    engine, row = f"{version.engine} {version.version}", draft.publication
    what, target = f"{row.model} {row.size}", f"{model.name} {model.size}"
    rules = engine_draft(version.engine, version.numbers)
    allowed = rules.vocabulary_difference
    if abs(draft.shape.vocab_size - shape.vocab_size) > allowed:
        bound = f"a difference of at most {allowed}" if allowed else "no difference"
        raise SpecError(
            f"{FIELD}.model",
            f"{what} has {draft.shape.vocab_size:,} tokens in its vocabulary and {target} has "
            f"{shape.vocab_size:,}; {engine} allows {bound}, so take a draft of the same family",
        )
    if draft.shape.parameters() >= shape.parameters():
        raise SpecError(
            f"{FIELD}.size",
            f"{what} has {draft.shape.parameters():,} parameters, no fewer than the "
            f"{shape.parameters():,} of {target}; take a smaller model",
        )
    refusal = _load_refusal(row, version)
    if refusal is not None:
        raise SpecError(
            f"{FIELD}.format", f"{draft.title}: {refusal}", reason=Reason.UNSUPPORTED_FORMAT
        )
    tokens = spec.memory.max_num_batched_tokens
    slots = rules.slots * (spec.memory.max_num_seqs or 1)
    if tokens is not None and tokens <= slots:
        raise SpecError(
            "spec.memory.maxNumBatchedTokens",
            f"{engine} takes {slots} tokens of a step for the draft model; write more than {slots}",
        )


def _load_refusal(row: Publication, version: EngineVersion) -> str | None:
    """Why an engine cannot load a publication beside another one; None when it can."""
    refusal = publication_refusal(row, version)
    if refusal is not None:
        return refusal
    if row.quantize_at_load:
        return "a draft is not quantized while it loads; take files that are, or write none"
    load = engine_load(version.engine, version.numbers, row.scheme, row.format)
    if load is not None and load.arguments:
        arguments = " ".join(load.arguments)
        return f"{version.engine} would need {arguments}, which holds for the model as well"
    return None
