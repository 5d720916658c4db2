"""Memory of one GPU while a model is fine-tuned: all weights, or adapters (LoRA, QLoRA).

Exact are weights, gradients, optimizer states and adapters: arithmetic over tensor shapes.
Activations are counted as in Korthikanti et al. 2022, "Reducing Activation Recomputation in Large
Transformer Models" (arXiv:2205.05198): 16-bit tensors that the backward pass needs, with fused
kernels. What is not counted: the CUDA context (about half a GiB), fragmentation, communication
buffers beyond one gathered layer, and the copies in fp32 that unfused norms make.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from llama_operator.catalog.rows import Scheme
from llama_operator.catalog.training_tables import Optimizer
from llama_operator.errors import SizingError
from llama_operator.sizing.checkpoints import checkpoint_bytes
from llama_operator.sizing.models.model import Layer, ModelShape
from llama_operator.sizing.models.tensors import Part, Split, Tensor
from llama_operator.units import FLOAT32_BYTES, ceil_div

COMPUTE_BYTES: Final = 2
"""bf16, the dtype of matrix products, activations and weights."""
_Q_V_NAMES: Final = ("q_proj", "v_proj")
_FEED_FORWARD: Final = (Part.FEED_FORWARD, Part.EXPERTS, Part.SHARED_EXPERTS)
_ADAPTED: Final = (Part.ATTENTION, Part.MIXER, *_FEED_FORWARD)


@dataclass(frozen=True, slots=True)
class TrainingSetting:
    """How a model is fine-tuned.

    Attributes:
        optimizer: what updates the weights.
        scheme: how weights that stay as they are are stored; 16 bit when all are trained.
        lora_rank: rank of the adapters; 0 trains all weights.
        lora_targets: which matrices get adapters, one of `LORA_TARGETS`.
        gpus: data-parallel ranks, each with its own batch; at least 1.
        zero3: weights, gradients and optimizer states are divided over the ranks (ZeRO stage 3,
            fully sharded data parallel) instead of repeated.
        batch_size: sequences of one rank in a step.
        sequence_length: tokens of a sequence.
        checkpointing: only the inputs of layers are kept, and a layer is computed again in the
            backward pass.
    """

    optimizer: Optimizer
    scheme: Scheme
    lora_rank: int = 0
    lora_targets: str = "all"
    gpus: int = 1
    zero3: bool = False
    batch_size: int = 1
    sequence_length: int = 2048
    checkpointing: bool = True

    @property
    def tokens(self) -> int:
        """Tokens of one rank in a step."""
        return self.batch_size * self.sequence_length

    @property
    def shards(self) -> int:
        """Over how many GPUs weights and states are divided."""
        return self.gpus if self.zero3 else 1


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """Bytes of one GPU, and how many weights are trained.

    `temporary_bytes`: what is there for a moment beside the rest: a gathered layer under ZeRO-3,
    one matrix in 16 bit where weights are stored in fewer.
    """

    trained_parameters: int
    weights_bytes: int
    adapter_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    activation_bytes: int
    temporary_bytes: int

    @property
    def total_bytes(self) -> int:
        """All parts together."""
        return (
            self.weights_bytes
            + self.adapter_bytes
            + self.gradient_bytes
            + self.optimizer_bytes
            + self.activation_bytes
            + self.temporary_bytes
        )


def training_memory(model: ModelShape, setting: TrainingSetting) -> TrainingMemory:
    """Where each byte of the fullest GPU goes while a model is fine-tuned.

    ZeRO-3 divides weights, gradients and states by the number of GPUs (arXiv:1910.02054, section
    5.3); activations are each rank's own.

    Raises:
        SizingError: the bytes of the scheme are not known, or no matrix is there to adapt.
    """
    adapted = setting.lora_rank > 0
    trained = tuple(adapter_shapes(model, setting) if adapted else _trained_shapes(model))
    if not trained:
        msg = f"lora_targets {setting.lora_targets!r}: the model has no such matrix; use all"
        raise SizingError(msg)
    parameters = sum(shape.elements for shape in trained)
    element_bytes = _trained_bytes(setting)
    weights = checkpoint_bytes(replace(model, not_loaded=()), setting.scheme)
    adapter_bytes = parameters * element_bytes if adapted else 0
    states = sum(_state_bytes(shape, setting.optimizer) for shape in trained)
    if not adapted:
        states += parameters * setting.optimizer.master_bytes
    return TrainingMemory(
        trained_parameters=parameters,
        weights_bytes=ceil_div(weights, setting.shards),
        adapter_bytes=ceil_div(adapter_bytes, setting.shards),
        gradient_bytes=ceil_div(parameters * element_bytes, setting.shards),
        optimizer_bytes=ceil_div(states, setting.shards),
        activation_bytes=activation_bytes(model, setting),
        temporary_bytes=_temporary_bytes(model, setting),
    )


@dataclass(frozen=True, slots=True)
class TrainedShape:
    """`count` equal tensors that are trained; a vector has one column."""

    rows: int
    columns: int
    count: int

    @property
    def elements(self) -> int:
        """Weights of all of them."""
        return self.rows * self.columns * self.count


def adapter_shapes(model: ModelShape, setting: TrainingSetting) -> Iterator[TrainedShape]:
    """The two matrices of every adapter: `A` of (rank, in) and `B` of (out, rank).

    LoRA (arXiv:2106.09685), section 4.1. Linear layers of the decoder are adapted, experts one by
    one; embeddings, routers, lm_head and vision towers are not.
    """
    rank = setting.lora_rank
    for layer in model.layers:
        for tensor in layer.tensors:
            if _is_adapted(tensor, setting.lora_targets):
                yield TrainedShape(rank, tensor.in_features, tensor.count)
                yield TrainedShape(tensor.out_features, rank, tensor.count)


def activation_bytes(model: ModelShape, setting: TrainingSetting) -> int:
    """What the forward pass keeps for the backward pass, at its peak.

    With checkpointing the inputs of all layers, `2*s*b*h*L` (Korthikanti et al., section 5), and
    beside them the larger of one layer computed again and the output; without, all layers and the
    output. Attention is a fused kernel, so that the scores `5*a*s^2*b` of the paper are not kept.
    """
    stored = [layer_activation_bytes(model, layer, setting) for layer in _layers(model)]
    by_layer = dict(zip(map(id, _layers(model)), stored, strict=True))
    output = output_activation_bytes(model, setting)
    if not setting.checkpointing:
        return sum(by_layer[id(layer)] for layer in model.layers) + output
    inputs = COMPUTE_BYTES * setting.tokens * model.hidden_size * model.num_hidden_layers
    return inputs + max([output, *stored])


def layer_activation_bytes(model: ModelShape, layer: Layer, setting: TrainingSetting) -> int:
    """Bytes that one layer keeps for the backward pass.

    The paper's count (section 4.1) for any layer, of shape (tokens, features) and 2 bytes an
    element: input and output of each norm, the outputs of matrices that a norm feeds (queries, keys
    and values; gate and up), the inputs of those that write to the residual stream (the attention's
    result; the product of gate and up), the activated gate, and what each adapter makes of its
    input. Of experts, those that a token passes. Norms of heads and dropout are left out.
    """
    elements = 0
    for tensor in layer.tensors:
        if _is_norm(model, tensor):
            elements += 2 * model.hidden_size * tensor.count
        if tensor.linear:
            elements += _kept_features(layer, tensor) * _active(layer, tensor)
            if setting.lora_rank and _is_adapted(tensor, setting.lora_targets):
                elements += setting.lora_rank * _active(layer, tensor)
    return COMPUTE_BYTES * setting.tokens * elements


def output_activation_bytes(model: ModelShape, setting: TrainingSetting) -> int:
    """Final norm, input of lm_head and logits in fp32: `4*s*b*h*(1 + V/h)`.

    Korthikanti et al., section 4.3.
    """
    return 4 * setting.tokens * (model.hidden_size + model.vocab_size)


def _layers(model: ModelShape) -> Iterable[Layer]:
    """Each layer that differs from the others, once."""
    return {id(layer): layer for layer in model.layers}.values()


def _is_norm(model: ModelShape, tensor: Tensor) -> bool:
    """Whether it is the weight, not the bias, of a norm of the residual stream."""
    wide = tensor.part is Part.NORM and tensor.shape == (model.hidden_size,)
    return wide and not tensor.name.endswith(".bias")


def _kept_features(layer: Layer, tensor: Tensor) -> int:
    if tensor.split is not Split.ROW:
        return tensor.out_features
    gated = layer.feed_forward is not None and layer.feed_forward.gated
    return tensor.in_features * (2 if gated and tensor.part in _FEED_FORWARD else 1)


def _active(layer: Layer, tensor: Tensor) -> int:
    """How many of the equal tensors a token passes."""
    experts = layer.feed_forward
    if tensor.part is Part.EXPERTS and experts is not None and experts.experts:
        return ceil_div(tensor.count * experts.experts_per_token, experts.experts)
    return tensor.count


def _is_adapted(tensor: Tensor, targets: str) -> bool:
    if not tensor.linear or tensor.part not in _ADAPTED:
        return False
    if targets == "q-v":
        return tensor.name in _Q_V_NAMES
    return targets == "all" or tensor.part is Part.ATTENTION


def _trained_bytes(setting: TrainingSetting) -> int:
    """Bytes of a trained weight, and of its gradient.

    All weights are trained in 16 bit. Adapters are few and kept in fp32 as PEFT does
    (`autocast_adapter_dtype`), which spares the copy; unless the optimizer works in 16 bit.
    """
    if setting.lora_rank and setting.optimizer.master_bytes:
        return FLOAT32_BYTES
    return COMPUTE_BYTES


def _trained_shapes(model: ModelShape) -> Iterator[TrainedShape]:
    for tensor in model.served():
        rows = tensor.out_features
        columns = tensor.elements // (rows * tensor.count)
        yield TrainedShape(rows, columns, tensor.count)


def _state_bytes(shape: TrainedShape, optimizer: Optimizer) -> int:
    """Bytes of the moments that an optimizer keeps of a tensor, without a copy of the weights.

    `moments * (kept * moment_bytes + 4 * ceil(kept / block))`: `kept` are all elements, or one for
    each row and column of a factored matrix; the second part are fp32 maxima of blocks, where there
    are any. The figures are those of optimizers.csv, each with its paper.
    """
    kept = shape.elements
    if optimizer.factored and shape.columns > 1:
        kept = (shape.rows + shape.columns) * shape.count
    found = kept * optimizer.moments * optimizer.moment_bytes
    if optimizer.block_weights:
        blocks = ceil_div(kept // shape.count, optimizer.block_weights) * shape.count
        found += blocks * optimizer.moments * FLOAT32_BYTES
    return found


def _temporary_bytes(model: ModelShape, setting: TrainingSetting) -> int:
    """What is gathered or unpacked for a moment.

    Under ZeRO-3 the largest unit (a decoder layer, an embedding) in 16 bit, and its gradient where
    it is trained: 4 bytes a weight, as DeepSpeed's `estimate_zero3_model_states_mem_needs` takes.
    Quantized weights are unpacked matrix by matrix: the largest in 16 bit.
    """
    if setting.shards > 1:
        units = [sum(t.elements for t in layer.tensors) for layer in _layers(model)]
        units += [t.elements for t in (*model.embedding, *_output(model))]
        return max(units) * (COMPUTE_BYTES if setting.lora_rank else 2 * COMPUTE_BYTES)
    if setting.scheme.bits >= 16:
        return 0
    matrices = (
        t.elements // t.count for layer in _layers(model) for t in layer.tensors if t.linear
    )
    return COMPUTE_BYTES * max(matrices, default=0)


def _output(model: ModelShape) -> tuple[Tensor, ...]:
    return () if model.lm_head is None else (model.lm_head,)
