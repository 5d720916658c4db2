"""Peak of the activations above the weights. An estimate fitted to engine logs."""

from typing import Final

from llama_operator.sizing.placement import Placement
from llama_operator.sizing.sharding import padded_vocabulary
from llama_operator.sizing.versions import version_numbers
from llama_operator.units import GIB

LOGITS_ELEMENT_BYTES: Final = 4
"""The sampler works on fp32 logits."""
SAMPLER_BYTES: Final = 0.04 * GIB
"""Constant part of the sampler's peak."""
GATED_MATRICES: Final = 3
"""Gate, up and their product are alive at once in a gated feed-forward layer."""
HIDDEN_COPIES: Final = 4.25
"""Hidden states alive beside them under torch.compile."""
HIDDEN_COPIES_BEFORE_COMPILE: Final = 1.1
"""The same in versions without torch.compile."""
COMPILE_SINCE: Final = (0, 8)


def activation_bytes(placement: Placement, *, last_stage: bool = True) -> int:
    """Peak above the weights while the engine profiles one step of T tokens and S sequences.

    `max(alpha * S * V * 4 + T*h*dt + 0.04 GiB, T*dt*(3*i/tp + 4.25*h))`; a stage without lm_head
    has the second term and two more hidden states. Memory model, section 6; alpha is
    `sampler_alpha` of the engine version.
    """
    architecture = placement.architecture
    tokens = placement.max_num_batched_tokens * placement.dtype_bytes
    hidden = architecture.hidden_size
    compiled = version_numbers(placement.engine.version) >= COMPILE_SINCE
    copies = HIDDEN_COPIES if compiled else HIDDEN_COPIES_BEFORE_COMPILE
    width = architecture.intermediate_size / placement.tensor_parallel_size
    feed_forward = tokens * (GATED_MATRICES * width + copies * hidden)
    if not last_stage:
        return int(feed_forward + 2 * tokens * hidden)
    logits = placement.max_num_seqs * padded_vocabulary(architecture) * LOGITS_ELEMENT_BYTES
    sampler = placement.engine.sampler_alpha * logits + tokens * hidden + SAMPLER_BYTES
    return int(max(sampler, feed_forward))
