"""Exact parameter counts of dense decoders."""

from llama_operator.catalog.rows import Architecture
from llama_operator.sizing.linears import checkpoint_linears


def linear_parameters(architecture: Architecture) -> int:
    """Weights in all linear layers of the decoder, without embeddings and lm_head."""
    per_layer = sum(linear.elements for linear in checkpoint_linears(architecture))
    return architecture.num_hidden_layers * per_layer


def embedding_matrices(architecture: Architecture) -> int:
    """Matrices of shape (vocab_size, hidden_size): the input, and lm_head unless it is tied."""
    return 1 if architecture.tie_word_embeddings else 2


def unquantized_parameters(architecture: Architecture) -> int:
    """Parameters that every scheme keeps in 16 bit: embeddings, lm_head and RMS norms."""
    embeddings = (
        embedding_matrices(architecture) * architecture.vocab_size * architecture.hidden_size
    )
    norms = (2 * architecture.num_hidden_layers + 1) * architecture.hidden_size
    return embeddings + norms


def parameters(architecture: Architecture) -> int:
    """Parameters of the whole model. Exact; memory model, section 2.

    Raises:
        UnsupportedArchitectureError: the model type cannot be counted.
    """
    return linear_parameters(architecture) + unquantized_parameters(architecture)
