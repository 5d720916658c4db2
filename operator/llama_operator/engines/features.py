"""What optional features of the spec ask of any engine: arguments, environment, files.

An engine version names what it has in engine_arguments.csv, and engine_limits.csv refuses the rest.
"""

import json
from collections.abc import Iterator
from typing import Final

from llama_operator.api.deployment import LlamaDeployment
from llama_operator.api.features import NgramSpec, PrefixCaching
from llama_operator.api.lora import LoraAdapter
from llama_operator.api.plan import DraftModel, Plan
from llama_operator.catalog.engine_memory import engine_memory
from llama_operator.catalog.versions import version_numbers
from llama_operator.engines.arguments import Names
from llama_operator.engines.containers import HUGGING_FACE_PATH, adapter_folder
from llama_operator.engines.engine import EnvVar, Files, SecretArgument

FOLDER: Final = "/etc/llama-operator"
TLS_PATH: Final = f"{FOLDER}/tls"
CERTIFICATE_FILE: Final = "tls.crt"
PRIVATE_KEY_FILE: Final = "tls.key"
"""Keys of a Secret of type kubernetes.io/tls, and the names of its files."""
CHAT_TEMPLATE_PATH: Final = f"{FOLDER}/chat-template"
CHAT_TEMPLATE_FILE: Final = "chat-template.jinja"
"""The name of its file, whatever the key: SGLang reads Jinja by this ending alone."""
_PREFIX_CACHING: Final = {
    PrefixCaching.ENABLED: "prefix_caching",
    PrefixCaching.DISABLED: "no_prefix_caching",
}


def feature_arguments(plan: Plan, deployment: LlamaDeployment) -> Iterator[tuple[str, str]]:
    """Arguments of the features that are on: pairs of name and value, empty for a switch.

    A setting that the engine version does not name needs no argument: it is its default.
    """
    names = Names.of(plan).names
    for setting, value in (*_settings(plan, deployment), *_lora(plan, deployment)):
        if setting in names:
            yield names[setting], value


def adapter_arguments(plan: Plan, deployment: LlamaDeployment) -> Iterator[str]:
    """The argument of several words that names adapters; the next one begins with dashes."""
    names, lora = Names.of(plan).names, deployment.spec.lora
    if lora is not None and "lora_adapters" in names:
        yield names["lora_adapters"]
        for adapter in lora.adapters:
            yield f"{adapter.name}={adapter_path(plan, adapter)}"


def adapter_path(plan: Plan, adapter: LoraAdapter) -> str:
    """Where an engine finds an adapter: on the volume, or by its repository's name."""
    if not plan.cached:
        return adapter.repository
    folder = f"{HUGGING_FACE_PATH}/{adapter_folder(adapter.repository)}"
    return f"{folder}/{adapter.file}" if adapter.file is not None else folder


def feature_variables(plan: Plan, deployment: LlamaDeployment) -> Iterator[EnvVar]:
    """Environment of the features that are on."""
    spec, names = deployment.spec, Names.of(plan).names
    if spec.auth is not None:
        reference = spec.auth.api_key_secret_ref
        yield EnvVar(
            names["api_key_variable"], secret_name=reference.name, secret_key=reference.key
        )
    if "lora_variable" in names and spec.lora is not None:
        named = (f"{adapter.name}={adapter_path(plan, adapter)}" for adapter in spec.lora.adapters)
        yield EnvVar(names["lora_variable"], ",".join(named))
    if "ngram_variable" in names and spec.speculative is not None and spec.speculative.ngram:
        yield EnvVar(names["ngram_variable"], str(spec.speculative.ngram.num_tokens))


def secret_arguments(plan: Plan, deployment: LlamaDeployment) -> tuple[SecretArgument, ...]:
    """The API key as an argument, for an engine version that names one."""
    names = Names.of(plan).names
    if deployment.spec.auth is None or "api_key" not in names:
        return ()
    return (SecretArgument(names["api_key"], names["api_key_variable"]),)


def feature_files(deployment: LlamaDeployment) -> tuple[Files, ...]:
    """Folders of the features that are on."""
    return tuple(_files(deployment))


def _settings(plan: Plan, deployment: LlamaDeployment) -> Iterator[tuple[str, str]]:
    spec = deployment.spec
    if spec.tls is not None:
        yield "tls_private_key", f"{TLS_PATH}/{PRIVATE_KEY_FILE}"
        yield "tls_certificate", f"{TLS_PATH}/{CERTIFICATE_FILE}"
        yield "tls_reload", ""
    if spec.chat_template is not None:
        yield "chat_template", f"{CHAT_TEMPLATE_PATH}/{CHAT_TEMPLATE_FILE}"
    if spec.memory.prefix_caching is not PrefixCaching.AUTO:
        yield _PREFIX_CACHING[spec.memory.prefix_caching], ""
    if spec.speculative is not None and spec.speculative.ngram is not None:
        yield from _ngram(spec.speculative.ngram)
    if spec.speculative is not None and plan.draft is not None:
        yield from _draft(plan.draft, plan, spec.speculative.num_tokens)


def _lora(plan: Plan, deployment: LlamaDeployment) -> Iterator[tuple[str, str]]:
    """What each engine is told of adapters in arguments of one word."""
    lora = deployment.spec.lora
    if lora is None:
        return
    rules = engine_memory(plan.engine, version_numbers(plan.engine_version))
    yield "lora", ""
    yield "lora_slots", str(len(lora.adapters) + rules.adapter_spare_slots)
    yield "lora_rank", str(lora.rank)
    for adapter in lora.adapters:
        yield "lora_file", adapter_path(plan, adapter)
        yield "lora_path", adapter_path(plan, adapter)


def _ngram(ngram: NgramSpec) -> Iterator[tuple[str, str]]:
    """Each engine's own way to say it; none has the settings of another."""
    lookup = {} if ngram.lookup_tokens is None else {"prompt_lookup_max": ngram.lookup_tokens}
    config = {"method": "ngram", "num_speculative_tokens": ngram.num_tokens, **lookup}
    yield "speculative_config", json.dumps(config, separators=(",", ":"))
    yield "speculative_algorithm", "NGRAM"
    # SGLang counts the last token of the answer among those that it verifies, and by default
    # drafts a tree, which most of its attention backends refuse.
    yield "verified_tokens", str(ngram.num_tokens + 1)
    yield "ngram_breadth", "1"
    yield "speculative_type", "ngram-simple"
    yield "ngram_tokens", str(ngram.num_tokens)
    if ngram.lookup_tokens is not None:
        yield "ngram_lookup", str(ngram.lookup_tokens)


def _draft(draft: DraftModel, plan: Plan, num_tokens: int) -> Iterator[tuple[str, str]]:
    """The draft model, each engine's own way again."""
    config = {
        "method": "draft_model",
        "model": draft.repository,
        "num_speculative_tokens": num_tokens,
    }
    yield "speculative_config", json.dumps(config, separators=(",", ":"))
    yield "speculative_algorithm", "STANDALONE"
    yield "draft_path", draft.repository
    # SGLang drafts a chain, whose last token of the answer is verified with the drafts, and takes
    # the model's own quantization and way to load unless told.
    yield "draft_steps", str(num_tokens)
    yield "draft_breadth", "1"
    yield "verified_tokens", str(num_tokens + 1)
    yield "draft_quantization", "unquant"
    yield "draft_load_format", "auto"
    yield "speculative_type", "draft-simple"
    yield "draft_repository", draft.repository
    yield "draft_file", draft.file
    yield "draft_gpu_layers", "0" if plan.gpu_layers == 0 else "all"
    yield "draft_tokens", str(num_tokens)


def _files(deployment: LlamaDeployment) -> Iterator[Files]:
    spec = deployment.spec
    if spec.tls is not None:
        yield Files(
            name="tls",
            path=TLS_PATH,
            files=(
                (CERTIFICATE_FILE, CERTIFICATE_FILE),
                (PRIVATE_KEY_FILE, PRIVATE_KEY_FILE),
            ),
            secret_name=spec.tls.secret_name,
        )
    if spec.chat_template is not None:
        reference = spec.chat_template.config_map_key_ref
        yield Files(
            name="chat-template",
            path=CHAT_TEMPLATE_PATH,
            files=((reference.key, CHAT_TEMPLATE_FILE),),
            config_map_name=reference.name,
        )
