"""The rows of the model catalogs, typed from their sources and not from the catalog's tables.

Sources: the page llama-3.1-instruct of the Xinference catalog (19 specifications), the card of
bartowski/Meta-Llama-3.1-70B-Instruct-GGUF (19 files), the card of
hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4, and the Hugging Face post on Llama 3.1.
"""

from dataclasses import dataclass, field
from typing import Any, Final

BASE: Final = "llama-3.1"
SMALL: Final = "llama-3.2-instruct"
HF: Final = "HuggingFace"
MS: Final = "ModelScope"
TOKEN: Final = {"name": "hf-token", "key": "token"}

REFUSED: Final = "refused-"
"""How the files of rows begin that are refused."""

Node = tuple[str, int]
"""Product and number of its GPUs."""

A10G: Final = "NVIDIA-A10G"
L4: Final = "NVIDIA-L4"
A100_40: Final = "NVIDIA-A100-SXM4-40GB"
A100_80: Final = "NVIDIA-A100-SXM4-80GB"
H100: Final = "NVIDIA-H100-80GB-HBM3"
H200: Final = "NVIDIA-H200"
B200: Final = "NVIDIA-B200"
USUAL_NODE: Final = {"8b": (A10G, 4), "70b": (A100_80, 8), "405b": (H100, 8)}
"""Where rows are planned that name no hardware."""


@dataclass(frozen=True)
class Specification:
    """One model specification of the Xinference page.

    `engines` are those of the page; `more` load it as well: TGI is no engine of Xinference, and
    SGLang has bitsandbytes of its own. Empty `modelscope` is a hole of that hub, as are the
    quantizations `not_on_modelscope`.
    """

    number: int
    size: str
    format: str
    quantizations: tuple[str, ...]
    engines: tuple[str, ...]
    huggingface: str
    modelscope: str = ""
    more: tuple[str, ...] = ()
    not_on_modelscope: tuple[str, ...] = ()
    node: Node | None = None

    def repository(self, hub: str, quantization: str) -> str:
        """The repository on a hub; empty for a hole of ModelScope."""
        if hub == HF:
            return self.huggingface
        return "" if quantization in self.not_on_modelscope else self.modelscope


@dataclass(frozen=True)
class Row:
    """A deployment of one row, and the cluster that it is planned on.

    `file` and `title` say where its golden stands. `user_rows` are models that a ConfigMap adds.
    """

    file: str
    title: str
    spec: dict[str, Any] = field(hash=False)
    nodes: tuple[Node, ...]
    user_rows: tuple[dict[str, Any], ...] = field(default=(), hash=False)

    @property
    def name(self) -> str:
        """Unique among rows."""
        return f"{self.file}: {self.title}"

    @property
    def is_refused(self) -> bool:
        """Whether it is a row of those that the operator must refuse."""
        return self.file.startswith(REFUSED)

    @property
    def engine(self) -> str:
        """The engine that serves it, whose name ends that of the file."""
        return self.file.partition(".")[2]


USUAL: Final = ("vLLM", "SGLang", "Transformers")
META: Final = "meta-llama/Meta-Llama-3.1-{}-Instruct"
LLM_RESEARCH: Final = "LLM-Research/Meta-Llama-3.1-{}-Instruct"
QUANTS: Final = "hugging-quants/Meta-Llama-3.1-{}-Instruct-{}-INT4"
LM_STUDIO: Final = "lmstudio-community/Meta-Llama-3.1-{}-Instruct-GGUF"
MLX_COMMUNITY: Final = "mlx-community/Meta-Llama-3.1-{}-Instruct{}"

SPECIFICATIONS: Final = (
    Specification(
        1,
        "8b",
        "ggufv2",
        ("Q3_K_L", "IQ4_XS", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"),
        ("LlamaCpp",),
        LM_STUDIO.format("8B"),
        LLM_RESEARCH.format("8B") + "-GGUF",
        not_on_modelscope=("IQ4_XS",),
    ),
    Specification(
        2,
        "8b",
        "pytorch",
        ("none",),
        USUAL,
        META.format("8B"),
        LLM_RESEARCH.format("8B"),
        more=("TGI",),
    ),
    Specification(
        3,
        "8b",
        "pytorch",
        ("4-bit",),
        ("Transformers",),
        "unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit",
        LLM_RESEARCH.format("8B"),
        more=("SGLang",),
    ),
    Specification(
        4,
        "8b",
        "gptq",
        ("Int4",),
        USUAL,
        QUANTS.format("8B", "GPTQ"),
        LLM_RESEARCH.format("8B") + "-GPTQ-INT4",
        more=("TGI",),
    ),
    Specification(
        5,
        "8b",
        "awq",
        ("Int4",),
        USUAL,
        QUANTS.format("8B", "AWQ"),
        LLM_RESEARCH.format("8B") + "-AWQ-INT4",
        more=("TGI",),
    ),
    Specification(
        6,
        "70b",
        "ggufv2",
        ("IQ2_M", "IQ4_XS", "Q2_K", "Q3_K_S", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"),
        ("LlamaCpp",),
        LM_STUDIO.format("70B"),
    ),
    Specification(
        7,
        "70b",
        "pytorch",
        ("none",),
        USUAL,
        META.format("70B"),
        LLM_RESEARCH.format("70B"),
        more=("TGI",),
    ),
    Specification(
        8,
        "70b",
        "pytorch",
        ("4-bit",),
        ("Transformers",),
        "unsloth/Meta-Llama-3.1-70B-Instruct-bnb-4bit",
        LLM_RESEARCH.format("70B"),
        more=("SGLang",),
    ),
    Specification(
        9,
        "70b",
        "gptq",
        ("Int4",),
        USUAL,
        QUANTS.format("70B", "GPTQ"),
        LLM_RESEARCH.format("70B") + "-GPTQ-INT4",
        more=("TGI",),
    ),
    Specification(
        10,
        "70b",
        "awq",
        ("Int4",),
        USUAL,
        QUANTS.format("70B", "AWQ"),
        LLM_RESEARCH.format("70B") + "-AWQ-INT4",
        more=("TGI",),
    ),
    Specification(11, "8b", "mlx", ("4-bit",), ("MLX",), MLX_COMMUNITY.format("8B", "-4bit")),
    Specification(12, "8b", "mlx", ("8-bit",), ("MLX",), MLX_COMMUNITY.format("8B", "-8bit")),
    Specification(13, "8b", "mlx", ("none",), ("MLX",), MLX_COMMUNITY.format("8B", "")),
    Specification(14, "70b", "mlx", ("4-bit",), ("MLX",), MLX_COMMUNITY.format("70B", "-4bit")),
    Specification(
        15,
        "70b",
        "mlx",
        ("8-bit",),
        ("MLX",),
        MLX_COMMUNITY.format("70B", "-8bit"),
        node=(H200, 8),
    ),
    Specification(
        16,
        "70b",
        "mlx",
        ("none",),
        ("MLX",),
        MLX_COMMUNITY.format("70B", "-bf16"),
        node=(B200, 8),
    ),
    Specification(
        17,
        "405b",
        "pytorch",
        ("none",),
        USUAL,
        META.format("405B"),
        LLM_RESEARCH.format("405B"),
        more=("TGI",),
        node=(H200, 8),
    ),
    Specification(
        17,
        "405b",
        "pytorch",
        ("4-bit", "8-bit"),
        ("Transformers",),
        META.format("405B"),
        LLM_RESEARCH.format("405B"),
    ),
    Specification(
        18,
        "405b",
        "gptq",
        ("Int4",),
        USUAL,
        QUANTS.format("405B", "GPTQ"),
        LLM_RESEARCH.format("405B") + "-GPTQ-INT4",
        more=("TGI",),
    ),
    Specification(
        19,
        "405b",
        "awq",
        ("Int4",),
        USUAL,
        QUANTS.format("405B", "AWQ"),
        LLM_RESEARCH.format("405B") + "-AWQ-INT4",
        more=("TGI",),
    ),
)
