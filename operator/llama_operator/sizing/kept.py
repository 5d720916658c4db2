"""Layers that a checkpoint leaves in 16 bit by name."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from llama_operator.catalog.rows import Scheme
from llama_operator.errors import UnsupportedSchemeError
from llama_operator.sizing.models.model import Layer, ModelShape
from llama_operator.sizing.models.tensors import Part, Tensor
from llama_operator.sizing.quantized import is_quantized

_MODULES: Final = {
    Part.ATTENTION: ("self_attn", "attention", "attn", "cross_attn", "mixer"),
    Part.MIXER: ("mixer", "mamba", "linear_attn", "mamba_mixer"),
    Part.FEED_FORWARD: ("mlp", "feed_forward", "mixer"),
    Part.EXPERTS: (
        "mlp.experts",
        "block_sparse_moe.experts",
        "feed_forward.experts",
        "mixer.experts",
    ),
    Part.SHARED_EXPERTS: (
        "mlp.shared_experts",
        "mlp.shared_expert",
        "feed_forward.shared_expert",
        "mixer.shared_experts",
        "shared_mlp",
    ),
}
"""Modules of a decoder layer, as families call them."""
_FUSED: Final = {"qkv": "qkv_proj", "gate_up": "gate_up_proj"}
_IGNORING: Final = frozenset({"none", "gguf", "mlx"})
"""Families whose files are not made by the rules of a configuration."""
_LAYER: Final = re.compile(r"(?:^|.*\.)(?:layers|blocks|h)\.([0-9]+|\*)(?:\.|$)")
_EXPERT: Final = re.compile(r"\bexperts\.[0-9]+\b")
_PATTERN_LIMIT: Final = 400
_NOTHING: Final[frozenset[int]] = frozenset()


class StoredLayer(NamedTuple):
    """A decoder layer, and the positions of its linear layers that stay in 16 bit."""

    layer: Layer
    kept: frozenset[int]


@lru_cache(maxsize=512)
def stored_layers(model: ModelShape, scheme: Scheme) -> tuple[StoredLayer, ...]:
    """Every decoder layer with what of it is not quantized although the scheme could.

    Meta's fbgemm checkpoints keep attention everywhere and the feed-forward part of the first and
    the last layer (`modules_to_not_convert` of Llama-3.1-405B-Instruct-FP8). Otherwise entries of
    `ModelShape.kept` count: the path of a module or layer, a part of such a path, one with `*` in
    it, or `re:` and a regular expression.

    Args:
        model: with the entries of its configuration.
        scheme: of the checkpoint; those that are made without a configuration keep nothing.

    Raises:
        UnsupportedSchemeError: a regular expression is none.
    """
    if scheme.family == "fbgemm-fp8":
        return tuple(_of_fbgemm(model))
    if scheme.family in _IGNORING or not model.kept:
        return tuple(StoredLayer(layer, _NOTHING) for layer in model.layers)
    return tuple(_by_name(model, scheme))


def _of_fbgemm(model: ModelShape) -> Iterator[StoredLayer]:
    last = model.num_hidden_layers - 1
    for index, layer in enumerate(model.layers):
        edge = index in (0, last)
        yield StoredLayer(
            layer,
            frozenset(
                position
                for position, tensor in enumerate(layer.tensors)
                if tensor.linear and (edge or tensor.part is Part.ATTENTION)
            ),
        )


def _by_name(model: ModelShape, scheme: Scheme) -> Iterator[StoredLayer]:
    names, named_layers = _plain_entries(model.kept)
    patterns = _pattern_entries(model.kept)
    by_layer = any(_tells_layers(pattern.pattern) for pattern in patterns)
    unnamed: dict[int, frozenset[int]] = {}
    for index, layer in enumerate(model.layers):
        alike = index not in named_layers and not by_layer
        kept = unnamed.get(id(layer)) if alike else None
        if kept is None:
            kept = frozenset(
                position
                for position, tensor in enumerate(layer.tensors)
                if is_quantized(tensor, scheme) and _is_named(tensor, index, names, patterns)
            )
            if alike:
                unnamed[id(layer)] = kept
        yield StoredLayer(layer, kept)


def _plain_entries(kept: tuple[str, ...]) -> tuple[frozenset[str], frozenset[int]]:
    """Entries without wildcards from `layers.N` on, and the layers that they name."""
    names: set[str] = set()
    layers: set[int] = set()
    for entry in kept:
        if entry.startswith("re:") or "*" in entry:
            continue
        match = _LAYER.match(entry)
        if match is None:
            names.add(entry.strip("."))
            continue
        layers.add(int(match.group(1)))
        rest = _EXPERT.sub("experts", entry[match.end() :].strip("."))
        names.add(f"layers.{match.group(1)}.{rest}" if rest else f"layers.{match.group(1)}")
    return frozenset(names), frozenset(layers)


def _pattern_entries(kept: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    patterns = []
    for entry in kept:
        if entry.startswith("re:"):
            text = entry.removeprefix("re:")
        elif "*" in entry:
            text = re.escape(entry).replace(r"\*", ".*") + r"(?:\..*)?$"
        else:
            continue
        try:
            if len(text) > _PATTERN_LIMIT:
                raise re.error("too long")
            patterns.append(re.compile(text))
        except re.error as error:
            msg = f"quantization_config: {entry[:80]!r} is no regular expression: {error}"
            raise UnsupportedSchemeError(msg) from None
    return tuple(patterns)


def _tells_layers(pattern: str) -> bool:
    """Whether a pattern may match some layers and not others that are like them."""
    return (
        any(character.isdigit() or character in "[{" for character in pattern) or "\\d" in pattern
    )


def _is_named(
    tensor: Tensor, index: int, names: frozenset[str], patterns: tuple[re.Pattern[str], ...]
) -> bool:
    for path in _paths(tensor, index):
        parts = path.split(".")
        if any(
            ".".join(parts[first:end]) in names
            for first in range(len(parts))
            for end in range(first + 1, len(parts) + 1)
        ):
            return True
        if any(
            pattern.match(f"{prefix}.{path}")
            for pattern in patterns
            for prefix in ("model", "language_model.model", "model.language_model")
        ):
            return True
    return False


def _paths(tensor: Tensor, index: int) -> Iterator[str]:
    names = [tensor.name]
    if tensor.merged in _FUSED:
        names.append(_FUSED[tensor.merged])
    for module in _MODULES.get(tensor.part, ()):
        for name in names:
            yield f"layers.{index}.{module}.{name}"
