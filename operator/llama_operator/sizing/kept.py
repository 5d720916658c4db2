"""Layers that a checkpoint leaves in 16 bit by name."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple, Protocol, cast

from llama_operator.catalog.rows import Scheme
from llama_operator.errors import UnsupportedSchemeError
from llama_operator.sizing.models.model import Layer, ModelShape, counted, counted_layers
from llama_operator.sizing.models.tensors import Part, Tensor
from llama_operator.sizing.quantized import is_quantized
from llama_operator.sizing.scheme_names import GGUF, MLX, UNQUANTIZED

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
_EXPERTS: Final = frozenset({Part.EXPERTS, Part.SHARED_EXPERTS})
_IGNORING: Final = frozenset({UNQUANTIZED, GGUF, MLX})
"""Families whose files are not made by the rules of a configuration."""
_LAYER: Final = re.compile(r"(?:^|.*\.)(?:layers|blocks|h)\.([0-9]+)(?:\.|$)")
_EXPERT: Final = re.compile(r"\bexperts\.[0-9]+\b")
_PATTERN_LIMIT: Final = 400
_PATTERN_MEMORY_BYTES: Final = 64 << 20
_PREFIXES: Final = ("model", "language_model.model", "model.language_model", "backbone")
_NOTHING: Final[frozenset[int]] = frozenset()
_NO_NAMES: Final[frozenset[str]] = frozenset()


class StoredLayer(NamedTuple):
    """A decoder layer, and the positions of its linear layers that stay in 16 bit."""

    layer: Layer
    kept: frozenset[int]


@lru_cache(maxsize=256)
def stored_layers(model: ModelShape, scheme: Scheme) -> tuple[StoredLayer, ...]:
    """Every decoder layer with what of it is not quantized although the scheme could.

    Layers of which the same is kept are one object.

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
        whole = {id(layer): StoredLayer(layer, _NOTHING) for layer, _ in counted_layers(model)}
        return tuple(whole[id(layer)] for layer in model.layers)
    return tuple(_by_name(model, scheme))


@lru_cache(maxsize=1024)
def counted_stored_layers(
    model: ModelShape, scheme: Scheme, first_layer: int = 0, layers: int | None = None
) -> tuple[tuple[StoredLayer, int], ...]:
    """The different ones of `stored_layers` in a model or a stage, each with its number.

    Args:
        model: with the entries of its configuration.
        scheme: of the checkpoint.
        first_layer: of the stage.
        layers: of the stage; None for all from the first on.

    Raises:
        UnsupportedSchemeError: a regular expression is none.
    """
    stop = None if layers is None else first_layer + layers
    return counted(stored_layers(model, scheme)[first_layer:stop])


def _of_fbgemm(model: ModelShape) -> Iterator[StoredLayer]:
    last = model.num_hidden_layers - 1
    found: dict[tuple[int, bool], StoredLayer] = {}
    for index, layer in enumerate(model.layers):
        key = id(layer), index in (0, last)
        if key not in found:
            kept = frozenset(
                position
                for position, tensor in enumerate(layer.tensors)
                if tensor.linear and (key[1] or tensor.part is Part.ATTENTION)
            )
            found[key] = StoredLayer(layer, kept)
        yield found[key]


def _by_name(model: ModelShape, scheme: Scheme) -> Iterator[StoredLayer]:
    names, names_of_layers = _plain_entries(model.kept)
    pattern = _pattern(model.kept)
    by_layer = pattern is not None and _tells_layers(pattern.pattern)
    found: dict[tuple[int, frozenset[str], int], StoredLayer] = {}
    for index, layer in enumerate(model.layers):
        own_names = names_of_layers.get(index, _NO_NAMES)
        key = (id(layer), own_names, index if by_layer else 0)
        if key not in found:
            kept = frozenset(
                position
                for position, tensor in enumerate(layer.tensors)
                if is_quantized(tensor, scheme)
                and (_is_named(tensor, names, own_names) or _is_matched(tensor, index, pattern))
            )
            found[key] = StoredLayer(layer, kept)
        yield found[key]


def _plain_entries(kept: tuple[str, ...]) -> tuple[frozenset[str], dict[int, frozenset[str]]]:
    """Entries without wildcards: those for all layers, and those of a layer without its path."""
    names: set[str] = set()
    of_layers: dict[int, set[str]] = {}
    for entry in kept:
        if entry.startswith("re:") or "*" in entry:
            continue
        match = _LAYER.match(entry)
        if match is None:
            names.add(entry.strip("."))
        else:
            rest = _EXPERT.sub("experts", entry[match.end() :].strip("."))
            of_layers.setdefault(int(match.group(1)), set()).add(rest)
    return frozenset(names), {index: frozenset(rests) for index, rests in of_layers.items()}


class _Pattern(Protocol):
    """A regular expression of RE2, which takes time in proportion to the text, whatever it is."""

    @property
    def pattern(self) -> str: ...

    def match(self, text: str) -> object | None: ...


def _pattern(kept: tuple[str, ...]) -> _Pattern | None:
    """Entries with wildcards and regular expressions as one; None where there are none.

    Strangers write them, and a backtracking matcher can be kept busy for years by a few letters.
    """
    texts = [text for entry in kept if (text := _expression(entry))]
    if not texts:
        return None
    # Imported here: few configurations have such entries.
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PATTERN_MEMORY_BYTES
    try:
        for text in texts:
            re2.compile(text, options)
        text = "|".join(f"(?:{text})" for text in texts)
        return cast("_Pattern", re2.compile(text, options))
    except re2.error as error:
        (why,) = error.args
        msg = (
            f"quantization_config: {text[:80]!r} is no regular expression of RE2: "
            f"{why.decode(errors='replace')}"
        )
        raise UnsupportedSchemeError(msg) from None


def _expression(entry: str) -> str:
    """An entry as a regular expression; empty for a plain name."""
    if entry.startswith("re:"):
        text = entry.removeprefix("re:")
    elif "*" in entry:
        text = re.sub(r"\\\*(?:\\\*)*", ".*", re.escape(entry)) + r"(?:\..*)?$"
    else:
        return ""
    if len(text) > _PATTERN_LIMIT:
        msg = f"quantization_config: {entry[:80]!r} is longer than {_PATTERN_LIMIT} letters"
        raise UnsupportedSchemeError(msg)
    return text


def _tells_layers(pattern: str) -> bool:
    """Whether a pattern may match some layers and not others that are like them."""
    return (
        any(character.isdigit() or character in "[{" for character in pattern) or "\\d" in pattern
    )


def _is_named(tensor: Tensor, names: frozenset[str], own_names: frozenset[str]) -> bool:
    """Whether an entry is a part of the tensor's path, or one of its layer begins the path."""
    if "" in own_names:
        return True
    for path in _paths(tensor):
        parts = path.split(".")
        size = len(parts)
        if any(".".join(parts[:end]) in own_names for end in range(1, size + 1)) or any(
            ".".join(parts[first:end]) in names
            for first in range(size)
            for end in range(first + 1, size + 1)
        ):
            return True
    return False


def _is_matched(tensor: Tensor, index: int, pattern: _Pattern | None) -> bool:
    return pattern is not None and any(
        pattern.match(f"{prefix}.layers.{index}.{path}")
        for path in _paths(tensor)
        for prefix in _PREFIXES
    )


def _paths(tensor: Tensor) -> Iterator[str]:
    """Paths of a tensor below its layer, by all names that families have for modules."""
    names = [tensor.name.rpartition(".")[2] if tensor.part in _EXPERTS else tensor.name]
    if (fused := _FUSED.get(tensor.merged.rpartition(".")[2])) is not None:
        names.append(fused)
    for module in _MODULES.get(tensor.part, ()):
        for name in names:
            yield f"{module}.{name}"
