"""What each engine makes of keys, certificates, templates and prefix caching."""

from dataclasses import dataclass, field
from typing import Any

KEY = {"auth": {"apiKeySecretRef": {"name": "llama-key", "key": "token"}}}
TLS = {"tls": {"secretName": "llama-tls"}}
TEMPLATE = {"chatTemplate": {"configMapKeyRef": {"name": "templates", "key": "short"}}}
CERTIFICATE_FILE = "/etc/llama-operator/tls/tls.crt"
PRIVATE_KEY_FILE = "/etc/llama-operator/tls/tls.key"
TEMPLATE_FILE = "/etc/llama-operator/chat-template/chat-template.jinja"


def prefix(word: str) -> dict[str, Any]:
    return {"memory": {"prefixCaching": word}}


def ngram(**settings: int) -> dict[str, Any]:
    return {"speculative": {"ngram": settings}}


@dataclass(frozen=True)
class Followed:
    """A field that an engine follows: what is added to its container."""

    engine: str
    version: str
    spec: dict[str, Any]
    arguments: tuple[str, ...] = ()
    secret_argument: str = ""
    variable: str = ""
    what: str = field(default="", kw_only=True)


DRAFTED = (
    # engine, version, file of the draft, what is added
    (
        "vLLM", "0.33.0", "",
        (
            '--speculative-config={"method":"draft_model","model":"org/draft",'
            '"num_speculative_tokens":3}',
        ),
    ),
    (
        "SGLang", "0.5.23", "",
        (
            "--speculative-algorithm=STANDALONE", "--speculative-draft-model-path=org/draft",
            "--speculative-num-steps=3", "--speculative-eagle-topk=1",
            "--speculative-num-draft-tokens=4", "--speculative-draft-model-quantization=unquant",
            "--speculative-draft-load-format=auto",
        ),
    ),
    (
        "LlamaCpp", "11434", "draft.gguf",
        (
            "--spec-type", "draft-simple", "--spec-draft-hf", "org/draft", "--spec-draft-model",
            "draft.gguf", "--spec-draft-ngl", "all", "--spec-draft-n-max", "3",
        ),
    ),
    ("MLX", "0.32.2", "", ("--draft-model=org/draft", "--num-draft-tokens=3")),
)  # fmt: skip
"""A draft model `org/draft` that drafts three tokens."""
FOLLOWED = (
    Followed("vLLM", "0.33.0", KEY, variable="VLLM_API_KEY", what="a key"),
    Followed(
        "SGLang", "0.5.23", KEY, variable="LLAMA_OPERATOR_API_KEY",
        secret_argument="--api-key=$(LLAMA_OPERATOR_API_KEY)", what="a key",
    ),
    Followed("TGI", "3.3.7", KEY, variable="API_KEY", what="a key"),
    Followed("LlamaCpp", "11434", KEY, variable="LLAMA_API_KEY", what="a key"),
    Followed(
        "vLLM", "0.33.0", TLS,
        (
            f"--ssl-keyfile={PRIVATE_KEY_FILE}", f"--ssl-certfile={CERTIFICATE_FILE}",
            "--enable-ssl-refresh",
        ),
        what="a certificate",
    ),
    Followed(
        "SGLang", "0.5.23", TLS,
        (
            f"--ssl-keyfile={PRIVATE_KEY_FILE}", f"--ssl-certfile={CERTIFICATE_FILE}",
            "--enable-ssl-refresh",
        ),
        what="a certificate",
    ),
    Followed(
        "LlamaCpp", "11434", TLS,
        ("--ssl-key-file", PRIVATE_KEY_FILE, "--ssl-cert-file", CERTIFICATE_FILE),
        what="a certificate",
    ),
    Followed("vLLM", "0.33.0", TEMPLATE, (f"--chat-template={TEMPLATE_FILE}",), what="a template"),
    Followed(
        "SGLang", "0.5.23", TEMPLATE, (f"--chat-template={TEMPLATE_FILE}",), what="a template"
    ),
    Followed(
        "LlamaCpp", "11434", TEMPLATE, ("--chat-template-file", TEMPLATE_FILE), what="a template"
    ),
    Followed("vLLM", "0.33.0", prefix("Enabled"), ("--enable-prefix-caching",), what="prefixes"),
    Followed("vLLM", "0.33.0", prefix("Disabled"), ("--disable-prefix-caching",), what="none"),
    Followed("vLLM", "0.33.0", prefix("Auto"), what="its own choice"),
    Followed("SGLang", "0.5.23", prefix("Enabled"), what="prefixes, which is its default"),
    Followed("SGLang", "0.5.23", prefix("Disabled"), ("--disable-radix-cache",), what="none"),
    Followed("LlamaCpp", "11434", prefix("Enabled"), ("--cache-prompt",), what="prefixes"),
    Followed("LlamaCpp", "11434", prefix("Disabled"), ("--no-cache-prompt",), what="none"),
    Followed("MLX", "0.32.2", prefix("Auto"), what="its own choice"),
    Followed(
        "vLLM", "0.33.0", ngram(numTokens=3),
        ('--speculative-config={"method":"ngram","num_speculative_tokens":3}',), what="drafts",
    ),
    Followed(
        "vLLM", "0.33.0", ngram(lookupTokens=2),
        (
            '--speculative-config={"method":"ngram","num_speculative_tokens":4,'
            '"prompt_lookup_max":2}',
        ),
        what="drafts with a bound",
    ),
    Followed(
        "SGLang", "0.5.23", ngram(numTokens=3),
        (
            "--speculative-algorithm=NGRAM", "--speculative-num-draft-tokens=4",
            "--speculative-ngram-max-bfs-breadth=1",
        ),
        what="drafts",
    ),
    Followed(
        "LlamaCpp", "11434", ngram(numTokens=3),
        ("--spec-type", "ngram-simple", "--spec-ngram-simple-size-m", "3"), what="drafts",
    ),
    Followed(
        "LlamaCpp", "11434", ngram(lookupTokens=2),
        (
            "--spec-type", "ngram-simple", "--spec-ngram-simple-size-m", "4",
            "--spec-ngram-simple-size-n", "2",
        ),
        what="drafts with a bound",
    ),
)  # fmt: skip
REFUSED = (
    ("Transformers", "5.23.0", ngram(), "spec.speculative.ngram", "it has no argument for it"),
    ("MLX", "0.32.2", ngram(), "spec.speculative.ngram", "it drafts with another model alone"),
    (
        "SGLang", "0.5.23", ngram(lookupTokens=2), "spec.speculative.ngram.lookupTokens",
        "it looks drafts up in a tree of its own",
    ),
    (
        "TGI", "2.2.0", ngram(lookupTokens=2), "spec.speculative.ngram.lookupTokens",
        "it looks drafts up by a length of its own",
    ),
    ("TGI", "2.2.0", KEY, "spec.auth", "version 2 asks for no key"),
    ("Transformers", "5.23.0", KEY, "spec.auth", "it asks for no key"),
    ("MLX", "0.32.2", KEY, "spec.auth", "it asks for no key"),
    ("TGI", "3.3.7", TLS, "spec.tls", "it speaks HTTP alone"),
    ("Transformers", "5.23.0", TLS, "spec.tls", "it speaks HTTP alone"),
    ("MLX", "0.32.2", TLS, "spec.tls", "it speaks HTTP alone"),
    ("TGI", "3.3.7", TEMPLATE, "spec.chatTemplate", "it takes a whole tokenizer_config.json"),
    ("Transformers", "5.23.0", TEMPLATE, "spec.chatTemplate", "it has no argument for it"),
    ("MLX", "0.32.2", TEMPLATE, "spec.chatTemplate", "it takes the text of a template"),
    ("TGI", "3.3.7", prefix("Enabled"), "spec.memory.prefixCaching", "it has no argument for it"),
    ("MLX", "0.32.2", prefix("Disabled"), "spec.memory.prefixCaching", "it has no argument for it"),
    (
        "Transformers", "5.23.0", prefix("Disabled"), "spec.memory.prefixCaching",
        "it has no argument for it",
    ),
)  # fmt: skip
SET_TWICE = (
    ("vLLM", {"extraArgs": ["--speculative-config={}"]}, "extraArgs[0]", "spec.speculative"),
    ("vLLM", {"extraArgs": ["--spec-model=a/b"]}, "extraArgs[0]", "spec.speculative"),
    (
        "SGLang", {"extraArgs": ["--speculative-draft-model=a/b"]}, "extraArgs[0]",
        "spec.speculative",
    ),
    ("LlamaCpp", {"extraArgs": ["--model-draft", "a"]}, "extraArgs[0]", "spec.speculative"),
    (
        "LlamaCpp", {"env": [{"name": "LLAMA_ARG_SPEC_DRAFT_MODEL", "value": "a"}]}, "env[0].name",
        "spec.speculative",
    ),
    ("MLX", {"extraArgs": ["--draft-model=a/b"]}, "extraArgs[0]", "spec.speculative"),
    ("vLLM", {"extraArgs": ["--api-key=a"]}, "extraArgs[0]", "spec.auth.apiKeySecretRef"),
    ("vLLM", {"extraArgs": ["--ssl-certfile=a"]}, "extraArgs[0]", "spec.tls"),
    ("vLLM", {"extraArgs": ["--chat-template=a"]}, "extraArgs[0]", "spec.chatTemplate"),
    (
        "vLLM", {"extraArgs": ["--disable-prefix-caching"]}, "extraArgs[0]",
        "spec.memory.prefixCaching",
    ),
    ("SGLang", {"extraArgs": ["--api-key=a"]}, "extraArgs[0]", "spec.auth.apiKeySecretRef"),
    (
        "SGLang", {"env": [{"name": "LLAMA_OPERATOR_API_KEY", "value": "a"}]}, "env[0].name",
        "spec.auth.apiKeySecretRef",
    ),
    ("LlamaCpp", {"extraArgs": ["--api-key-file", "a"]}, "extraArgs[0]", "spec.auth"),
    (
        "LlamaCpp", {"env": [{"name": "LLAMA_API_KEY", "value": "a"}]}, "env[0].name",
        "spec.auth.apiKeySecretRef",
    ),
    ("TGI", {"env": [{"name": "API_KEY", "value": "a"}]}, "env[0].name", "spec.auth"),
)  # fmt: skip
