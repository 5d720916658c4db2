"""Fields of a LlamaDeployment that are off until they are written: keys, TLS, templates, drafts."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from llama_operator.api.cel import Rule
from llama_operator.api.enums import DraftFormat
from llama_operator.api.fields import (
    ConfigMapKey,
    ModelName,
    ModelSize,
    ObjectName,
    QuantizationName,
    SecretKey,
)
from llama_operator.api.model import ApiModel


class PrefixCaching(StrEnum):
    """Whether the KV cache of a prompt's beginning is kept for the next request."""

    AUTO = "Auto"
    ENABLED = "Enabled"
    DISABLED = "Disabled"


class ApiKeySecretRef(ApiModel):
    """The key of a Secret that holds what clients must send as a bearer token."""

    name: ObjectName = Field(description="Name of the Secret, e.g. llama-key.")
    key: SecretKey = Field(default="key", description="Key inside the Secret, e.g. key.")


class AuthSpec(ApiModel):
    """Who may ask the engine."""

    api_key_secret_ref: ApiKeySecretRef = Field(
        description="Secret with the key that clients send as a bearer token, e.g. name llama-key."
    )


class TlsSpec(ApiModel):
    """HTTPS, ended by the engine itself."""

    secret_name: ObjectName = Field(
        description="Secret of type kubernetes.io/tls with certificate and private key, "
        "e.g. llama-tls."
    )


class ConfigMapKeyRef(ApiModel):
    """A key of a ConfigMap in the namespace of the deployment. Mounted into pods, never read."""

    name: ObjectName = Field(description="Name of the ConfigMap, e.g. chat-templates.")
    key: ConfigMapKey = Field(
        default="chat-template.jinja",
        description="Key inside the ConfigMap, e.g. chat-template.jinja.",
    )


class ChatTemplateSpec(ApiModel):
    """How messages become a prompt, instead of the model's own template."""

    config_map_key_ref: ConfigMapKeyRef = Field(
        description="ConfigMap with the template in Jinja, e.g. name chat-templates."
    )


class NgramSpec(ApiModel):
    """Drafts that are looked up in the prompt and the answer so far: no weights, no other model."""

    num_tokens: Annotated[int, Field(ge=1, le=16)] = Field(
        default=4, description="Tokens that are drafted at once, e.g. 4."
    )
    lookup_tokens: Annotated[int, Field(ge=1, le=16)] | None = Field(
        default=None,
        description="Tokens in a row that must agree for a draft, e.g. 4. Unset: the engine's own.",
    )


class DraftModelSpec(ApiModel):
    """Drafts of a smaller model with the same vocabulary, on the same GPUs."""

    model: ModelName = Field(description="Catalog name of the draft, e.g. llama-3.2-instruct.")
    size: ModelSize = Field(description="Size of the draft, e.g. 1b.")
    format: DraftFormat = Field(description="Format of its files, e.g. pytorch.")
    quantization: QuantizationName | None = Field(
        default=None,
        description="Quantization as the catalog spells it, e.g. none. "
        "Unset: the only or recommended one of the format.",
    )
    num_tokens: Annotated[int, Field(ge=1, le=16)] = Field(
        default=4, description="Tokens that are drafted at once, e.g. 4."
    )


class SpeculativeSpec(ApiModel):
    """Tokens drafted cheaply and verified together."""

    ngram: NgramSpec | None = Field(
        default=None, description="Drafts by lookup, e.g. numTokens 4; {} for its defaults."
    )
    draft_model: DraftModelSpec | None = Field(
        default=None,
        description="Drafts of a smaller model, e.g. model llama-3.2-instruct and size 1b.",
    )

    rules = (
        Rule(
            expression="has(self.ngram) || has(self.draftModel)",
            message="write how tokens are drafted, such as ngram: {}",
            holds=lambda speculative: bool(speculative.ngram or speculative.draft_model),
            field=".ngram",
        ),
        Rule(
            expression="!has(self.ngram) || !has(self.draftModel)",
            message="write one way to draft: ngram or draftModel",
            holds=lambda speculative: not (speculative.ngram and speculative.draft_model),
            field=".draftModel",
        ),
    )

    @property
    def num_tokens(self) -> int:
        """Tokens that are drafted at once for a sequence."""
        way = self.ngram or self.draft_model
        return way.num_tokens if way is not None else 0
