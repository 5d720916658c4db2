"""Cells of the family table that depend on a key of the configuration."""

from llama_operator.sizing.models.config import Config


def is_on(cell: str, config: Config) -> bool:
    """Whether a part is there: `yes`, `no`, or the name of a key that tells it.

    `attention_bias` reads the key and takes absent for no, `qkv_bias=yes` for yes.

    Raises:
        ConfigError: the key is neither true nor false.
    """
    if cell in ("yes", "no"):
        return cell == "yes"
    key, _, default = cell.partition("=")
    return config.flag(key, default=default == "yes")


def norm_of_queries(cell: str, config: Config) -> str:
    """Scope of the norms of queries and keys: `head`, `layer`, `whole`, or empty for none.

    `head:use_qk_norm` reads the key and takes absent for no, `layer:use_qk_norm=yes` for yes.

    Raises:
        ConfigError: the key is neither true nor false.
    """
    scope, _, switch = cell.partition(":")
    if scope == "none" or (switch and not is_on(switch, config)):
        return ""
    return scope
