"""Short constructors of the tensors that all families are made of."""

from llama_operator.sizing.models.tensors import Part, Split, Tensor


def column(
    name: str, part: Part, out_features: int, in_features: int, *, count: int = 1, merged: str = ""
) -> Tensor:
    """A linear layer whose output features are divided over the ranks."""
    return Tensor(
        name, part, (out_features, in_features), Split.COLUMN, count, linear=True, merged=merged
    )


def row(name: str, part: Part, out_features: int, in_features: int, *, count: int = 1) -> Tensor:
    """A linear layer whose input features are divided over the ranks."""
    return Tensor(name, part, (out_features, in_features), Split.ROW, count, linear=True)


def whole(
    name: str, part: Part, out_features: int, in_features: int, *, merged: str = ""
) -> Tensor:
    """A linear layer that every rank holds whole."""
    return Tensor(name, part, (out_features, in_features), linear=True, merged=merged)


def key_values(
    name: str, part: Part, heads: int, head_dim: int, in_features: int, *, merged: str
) -> Tensor:
    """A linear layer divided by heads that are repeated where ranks are more."""
    return Tensor(
        name,
        part,
        (heads * head_dim, in_features),
        Split.KV_HEADS,
        linear=True,
        merged=merged,
        heads=heads,
    )


def key_values_bias(name: str, part: Part, heads: int, head_dim: int, *, merged: str) -> Tensor:
    """The bias of a layer divided by heads."""
    return Tensor(name, part, (heads * head_dim,), Split.KV_HEADS, merged=merged, heads=heads)


def vector(name: str, part: Part, elements: int, *, count: int = 1) -> Tensor:
    """A vector, such as a norm or the bias of a row-parallel layer, whole on every rank."""
    return Tensor(name, part, (elements,), count=count)


def divided_vector(
    name: str, part: Part, elements: int, *, count: int = 1, merged: str = ""
) -> Tensor:
    """A vector divided over the ranks, such as the bias of a column-parallel layer."""
    return Tensor(name, part, (elements,), Split.COLUMN, count, merged=merged)


def norms(name: str, elements: int, *, biased: bool, count: int = 1) -> tuple[Tensor, ...]:
    """`count` norms of a width: RMS norms, or layer norms with a bias each."""
    weights = vector(f"{name}.weight", Part.NORM, elements, count=count)
    if not biased:
        return (weights,)
    return (weights, vector(f"{name}.bias", Part.NORM, elements, count=count))
