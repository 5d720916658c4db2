"""Bytes of a published model: its tensors, and what a downloader fetches."""

from functools import lru_cache

from llama_operator.catalog.rows import Scheme
from llama_operator.sizing.gguf import gguf_bytes
from llama_operator.sizing.kept import StoredLayer, counted_stored_layers
from llama_operator.sizing.models.model import ModelShape
from llama_operator.sizing.quantized import (
    SIXTEEN_BIT_BYTES,
    is_quantized_at_load,
    plain_bytes,
    tensor_bytes,
)
from llama_operator.sizing.scheme_names import GGUF, UNQUANTIZED, scheme_for


def checkpoint_bytes(
    model: ModelShape, scheme: Scheme, *, dtype_bytes: int = SIXTEEN_BIT_BYTES
) -> int:
    """Bytes of all tensors of the published checkpoint, or of all tensors of a GGUF file.

    Exact; memory model, section 3. Tensors that are not loaded to serve the model (MTP layers)
    count. A scheme that the engine makes from 16-bit weights while it loads has a 16-bit
    checkpoint. A GGUF file holds the text part alone.

    Args:
        model: the model.
        scheme: how it is stored.
        dtype_bytes: of an element that is not quantized.

    Raises:
        UnsupportedSchemeError: the bytes of the scheme are not known.
    """
    if scheme.family == GGUF:
        return gguf_bytes(model, scheme.name)
    if is_quantized_at_load(scheme):
        return _checkpoint_bytes(model, scheme_for(UNQUANTIZED), dtype_bytes)
    return _checkpoint_bytes(model, scheme, dtype_bytes)


def download_bytes(
    model: ModelShape,
    scheme: Scheme,
    *,
    quantize_at_load: bool = False,
) -> int:
    """Bytes of weights that a downloader fetches and keeps on disk.

    Args:
        model: the model.
        scheme: what the engine holds.
        quantize_at_load: the repository holds 16-bit weights, whatever the engine makes of them.

    Raises:
        UnsupportedSchemeError: the bytes of the scheme are not known.
    """
    published = scheme_for(UNQUANTIZED) if quantize_at_load else scheme
    return checkpoint_bytes(model, published)


@lru_cache(maxsize=1024)
def _checkpoint_bytes(model: ModelShape, scheme: Scheme, dtype_bytes: int) -> int:
    total = sum(
        count * _layer_bytes(stored, scheme, dtype_bytes)
        for stored, count in counted_stored_layers(model, scheme)
    )
    others = [*model.embedding, *model.final, *model.vision, *model.not_loaded]
    if model.lm_head is not None:
        others.append(model.lm_head)
    return total + sum(tensor_bytes(tensor, scheme, dtype_bytes=dtype_bytes) for tensor in others)


def _layer_bytes(stored: StoredLayer, scheme: Scheme, dtype_bytes: int) -> int:
    return sum(
        plain_bytes(tensor, dtype_bytes=dtype_bytes)
        if position in stored.kept
        else tensor_bytes(tensor, scheme, dtype_bytes=dtype_bytes)
        for position, tensor in enumerate(stored.layer.tensors)
    )
