"""Every row of the model catalogs as a deployment, and the cluster that it is planned on."""

from collections.abc import Iterator
from typing import Any, Final

from golden.row_table import (
    A10G,
    A100_40,
    A100_80,
    BASE,
    H100,
    H200,
    HF,
    L4,
    MS,
    SMALL,
    SPECIFICATIONS,
    TOKEN,
    USUAL_NODE,
    Node,
    Row,
    Specification,
)

ENGINES: Final = ("vLLM", "SGLang", "TGI", "LlamaCpp", "Transformers", "MLX")
WITHOUT_MODELSCOPE: Final = frozenset({"TGI", "Transformers", "MLX"})
"""Engines that download from Hugging Face alone."""

CARD_NAME: Final = "bartowski/Meta-Llama-3.1-70B-Instruct-GGUF"
CARD: Final = (
    # quantization, GB of all parts, parts, whether Xinference's repository publishes it as well
    ("Q8_0", "74.98", 2, True),
    ("Q6_K_L", "58.40", 2, False),
    ("Q6_K", "57.89", 2, True),
    ("Q5_K_L", "50.60", 2, False),
    ("Q5_K_M", "49.95", 2, True),
    ("Q5_K_S", "48.66", 1, False),
    ("Q4_K_L", "43.30", 1, False),
    ("Q4_K_M", "42.52", 1, True),
    ("Q4_K_S", "40.35", 1, False),
    ("Q3_K_XL", "38.06", 1, False),
    ("IQ4_XS", "37.90", 1, True),
    ("Q3_K_L", "37.14", 1, False),
    ("Q3_K_M", "34.27", 1, False),
    ("IQ3_M", "31.94", 1, False),
    ("Q3_K_S", "30.91", 1, True),
    ("IQ3_XS", "29.31", 1, False),
    ("Q2_K_L", "27.40", 1, False),
    ("Q2_K", "26.38", 1, True),
    ("IQ2_M", "24.12", 1, True),
)
"""The 19 files of the card."""
FLAT: Final = "Meta-Llama-3.1-70B-Instruct-{quantization}.gguf"
IN_A_FOLDER: Final = (
    "Meta-Llama-3.1-70B-Instruct-{quantization}/"
    "Meta-Llama-3.1-70B-Instruct-{quantization}-{part}-of-{parts}.gguf"
)
"""Split files, which lie in a folder of their own; llama.cpp is given the first part."""
CARD_MODEL: Final = {
    "name": "llama-70b-bartowski",
    "size": "70b",
    "architecture": "llama-3.1-70b",
    "abilities": ["chat", "tools"],
    "publications": [
        {
            "format": "ggufv2",
            "quantization": quantization,
            "repository": CARD_NAME,
            "files": FLAT if parts == 1 else IN_A_FOLDER,
            "parts": parts,
            "file_bytes": round(float(gigabytes) * 100) * 10**7,
            "recommended": quantization == "Q4_K_M",
        }
        for quantization, gigabytes, parts, _ in CARD
    ],
}
"""The card as users add it, by a ConfigMap: where both publish the same quantization, the built-in
row is that of Xinference's repository."""

QUANTIZED: Final = ("awq", "gptq")
PLACEMENTS: Final = (
    # what the post says, spec, node
    ("405B FP8 on 8x H100", {"size": "405b", "format_name": "fp8"}, (H100, 8)),
    *(
        (f"405B {name.upper()} on 8x {title}", {"size": "405b", "format_name": name}, (gpu, 8))
        for name in QUANTIZED
        for title, gpu in (("A100 80 GB", A100_80), ("H100", H100), ("A100 40 GB", A100_40))
    ),
    *(
        (
            f"405B NF4 on {count}x {title}",
            {"size": "405b", "format_name": "pytorch", "quantization": "nf4"},
            (gpu, count),
        )
        for title, gpu, count in (("A100 80 GB", A100_80, 8), ("H100", H100, 4))
    ),
    ("8B on 1x A10G", {"size": "8b", "format_name": "pytorch"}, (A10G, 1)),
    ("8B on 1x L4", {"size": "8b", "format_name": "pytorch"}, (L4, 1)),
    ("70B on 4x A100", {"size": "70b", "format_name": "pytorch"}, (A100_80, 4)),
    *(
        (f"70B {name.upper()} on 2x A100", {"size": "70b", "format_name": name}, (A100_80, 2))
        for name in QUANTIZED
    ),
)
"""Placements of the Hugging Face post on Llama 3.1."""
REDUCED: Final = {"memory": {"cudaGraphs": "Disabled", "maxNumSeqs": 16}}
"""Without CUDA graphs, as the post says of eight A100 with 40 GB, and with fewer sequences."""
OVER_GPUS: Final = (
    # GGUF files on more than one GPU, by layers, and with layers that stay with the CPU
    ("Q4_K_M on 4x A10G", "Q4_K_M", (A10G, 4), {}),
    ("Q8_0 on 2x A100 80 GB", "Q8_0", (A100_80, 2), {}),
    ("Q4_K_M on 1x A10G, 30 layers", "Q4_K_M", (A10G, 1), {"memory": {"gpuLayers": 30}}),
)
BASE_GGUF: Final = (
    *("Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_0", "Q4_1", "Q4_K_S", "Q4_K_M"),
    *("Q5_0", "Q5_1", "Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0"),
)
"""Quantizations of QuantFactory/Meta-Llama-3.1-8B-GGUF."""
FEWER_BITS: Final = (
    # repositories beside those of Xinference, and the engines that do not load them
    ("8b", "fp8", "FP8-dynamic", ()),
    ("8b", "fp8", "FP8", ()),
    ("8b", "gptq", "w4a16", ()),
    ("8b", "pytorch", "w8a8", ()),
    ("70b", "fp8", "FP8-dynamic", ()),
    ("70b", "fp8", "FP8", ()),
    ("405b", "fp8", "FP8-dynamic", ()),
    ("405b", "fp8", "FP8", ("SGLang",)),
)
GATED: Final = frozenset({("pytorch", "none"), ("pytorch", ""), ("fp8", "FP8"), ("fp8", "")})
"""Formats and quantizations that the organisation meta-llama publishes, which asks for a token."""


def _spec(size: str, format_name: str, quantization: str = "", **fields: Any) -> dict[str, Any]:
    """A spec as a user writes it: defaults are left out, a token stands where one is needed."""
    spec: dict[str, Any] = {"size": size, "format": format_name}
    if quantization:
        spec["quantization"] = quantization
    spec |= fields
    at_load = size == "405b" and quantization in ("4-bit", "8-bit")
    metas = (format_name, quantization) in GATED and (format_name == "pytorch" or size == "405b")
    if (metas or at_load) and spec.get("hub") != MS:
        spec["tokenSecretRef"] = TOKEN
    return spec


def _by(name: str, version: str = "") -> dict[str, Any]:
    return {"engine": {"type": name} | ({"version": version} if version else {})}


def _on(node: Node) -> dict[str, Any]:
    return {"hardware": [{"gpu": node[0], "count": node[1]}]}


def _from(hub: str) -> dict[str, Any]:
    return {"hub": MS} if hub == MS else {}


def _xinference() -> Iterator[Row]:
    """All specifications by all quantizations, engines and hubs.

    Of an engine that does not load a specification the first quantization stands for all.
    """
    for one in SPECIFICATIONS:
        node = one.node or USUAL_NODE[one.size]
        loading = (*one.engines, *one.more)
        for name in loading:
            yield from (
                _published(one, name, quantization, hub, node)
                for hub in (HF, MS)
                for quantization in one.quantizations
            )
        for name in (name for name in ENGINES if name not in loading):
            quantization = one.quantizations[0]
            title = f"{one.number:02}-{one.size}-{one.format} {quantization} by {name}"
            spec = _spec(one.size, one.format, quantization, **_by(name))
            yield Row("refused-by-engine", title, spec, (node,))


def _published(one: Specification, name: str, quantization: str, hub: str, node: Node) -> Row:
    spec = _spec(one.size, one.format, quantization, **_by(name), **_from(hub))
    file, title = f"{one.number:02}-{one.size}-{one.format}.{name}", f"{quantization}, {hub}"
    reachable = hub == HF or name not in WITHOUT_MODELSCOPE
    if reachable and one.repository(hub, quantization):
        return Row(file, title, spec, (node,))
    return Row("refused-by-hub", f"{file} {title}", spec, (node,))


def _gguf_card() -> Iterator[Row]:
    """The 19 files of the card, and some of its quantizations over several GPUs."""
    for quantization, _, _, outranked in CARD:
        spec = _spec("70b", "ggufv2", quantization, **_by("LlamaCpp"))
        if outranked:
            spec["model"] = CARD_MODEL["name"]
        rows = (CARD_MODEL,) if outranked else ()
        yield Row("card-70b-ggufv2.LlamaCpp", quantization, spec, ((A100_80, 2),), rows)
    for title, quantization, node, fields in OVER_GPUS:
        spec = _spec("70b", "ggufv2", quantization, **_on(node), **fields)
        yield Row("over-gpus.LlamaCpp", title, spec, (node,))


def _awq_card() -> Iterator[Row]:
    """The commands of the card: four GPUs, which it does not name, and 4,096 tokens."""
    node = (A100_80, 4)
    asked = _on(node) | {"context": {"maxModelLen": 4096}}
    for name, version in (("TGI", "2.2.0"), ("TGI", "3.3.7"), ("vLLM", "")):
        spec = _spec("70b", "awq", **_by(name, version), **asked)
        title = f"{name} {version}".rstrip()
        yield Row(f"card-70b-awq.{name}", title, spec, (node,))
    # Without a length TGI 2.2 still has to hold a whole prompt in a step.
    spec = _spec("70b", "awq", **_by("TGI", "2.2.0"), **_on(node))
    yield Row("card-70b-awq.TGI", "TGI 2.2.0, the longest context", spec, (node,))


def _post() -> Iterator[Row]:
    """Placements of the post, by the engine that Auto takes, and by TGI, which it is about."""
    for title, fields, node in PLACEMENTS:
        name = "Transformers" if fields.get("quantization") == "nf4" else "vLLM"
        yield Row(f"post.{name}", title, _spec(**fields, **_on(node)), (node,))
        if name == "vLLM":
            yield Row("post.TGI", title, _spec(**fields, **_by("TGI"), **_on(node)), (node,))
    node = (A100_40, 8)
    title = "405B AWQ on 8x A100 40 GB, without CUDA graphs"
    for name in ("vLLM", "TGI"):
        spec = _spec("405b", "awq", **_by(name), **_on(node), **REDUCED)
        yield Row(f"post.{name}", title, spec, (node,))
    # An H100 node has about 640 GB: 810 GB need several nodes or fewer bits.
    title = "405B in 16 bits on 8x H100"
    yield Row("refused-otherwise", title, _spec("405b", "pytorch", "none"), ((H100, 8),))


def _other_models() -> Iterator[Row]:
    """Base models, Llama Guard 3 and Prompt Guard."""
    for size, format_name, quantization, hubs, node in (
        ("8b", "pytorch", "none", (HF, MS), (A10G, 4)),
        ("70b", "pytorch", "none", (HF, MS), (A100_80, 8)),
        ("405b", "pytorch", "none", (HF, MS), (H200, 8)),
        ("405b", "fp8", "FP8", (HF,), (H100, 8)),
        ("405b", "pytorch", "nf4", (HF,), (H100, 8)),
    ):
        for hub in hubs:
            spec = _spec(size, format_name, quantization, model=BASE, **_from(hub))
            name = "Transformers" if quantization == "nf4" else "vLLM"
            yield Row(f"base.{name}", f"{size} {quantization}, {hub}", spec, (node,))
    for quantization in BASE_GGUF:
        spec = _spec("8b", "ggufv2", quantization, model=BASE)
        yield Row("base-8b-ggufv2.LlamaCpp", quantization, spec, ((A10G, 4),))
    for hub in (HF, MS):
        spec = _spec("8b", "pytorch", model="llama-guard-3", **_from(hub))
        yield Row("llama-guard-3.vLLM", hub, spec, ((A10G, 4),))
    spec = _spec("86m", "pytorch", model="prompt-guard")
    yield Row("refused-otherwise", "Prompt Guard", spec, ((A10G, 4),))


def _fewer_bits() -> Iterator[Row]:
    """Repositories of 8 and 4 bits by the engines of safetensors."""
    for size, format_name, quantization, without in FEWER_BITS:
        for name in ("vLLM", "SGLang", "TGI", "Transformers"):
            spec = _spec(size, format_name, quantization, **_by(name))
            title = f"{size} {format_name} {quantization}"
            if name in without:
                yield Row("refused-by-engine", f"{title} by {name}", spec, ((H100, 8),))
            else:
                yield Row(f"fewer-bits.{name}", title, spec, ((H100, 8),))


def _smaller_models() -> Iterator[Row]:
    """Llama 3.2 1B alone, and drafting for larger ones by each engine that lets it."""
    for format_name, quantization, hubs, name in (
        ("pytorch", "none", (HF, MS), "vLLM"),
        ("ggufv2", "Q4_K_M", (HF,), "LlamaCpp"),
        ("ggufv2", "Q6_K", (HF,), "LlamaCpp"),
        ("ggufv2", "Q8_0", (HF,), "LlamaCpp"),
        ("mlx", "4-bit", (HF,), "MLX"),
    ):
        for hub in hubs:
            spec = _spec("1b", format_name, quantization, model=SMALL, **_from(hub))
            yield Row(f"small.{name}", f"{quantization}, {hub}", spec, ((A10G, 4),))
    for size, format_name, draft_format, name, node in (
        ("70b", "awq", "pytorch", "vLLM", (A100_80, 4)),
        ("70b", "awq", "pytorch", "vLLM", (A100_80, 2)),
        ("8b", "awq", "pytorch", "vLLM", (A10G, 1)),
        ("8b", "awq", "pytorch", "SGLang", (A10G, 1)),
        ("70b", "ggufv2", "ggufv2", "LlamaCpp", (A10G, 4)),
        ("8b", "ggufv2", "ggufv2", "LlamaCpp", (A10G, 1)),
        ("8b", "mlx", "mlx", "MLX", (A10G, 1)),
    ):
        draft = {"model": SMALL, "size": "1b", "format": draft_format}
        fields = {**_by(name), **_on(node), "speculative": {"draftModel": draft}}
        if draft_format == "pytorch":
            fields["tokenSecretRef"] = TOKEN
        title = f"{size} on {node[1]}x {node[0]}"
        yield Row(f"draft.{name}", title, _spec(size, format_name, **fields), (node,))


ROWS: Final = (
    *_xinference(),
    *_gguf_card(),
    *_awq_card(),
    *_post(),
    *_other_models(),
    *_fewer_bits(),
    *_smaller_models(),
)
