"""The option `--catalog`: the packaged catalog with users' rows from files."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from llama_operator.catalog.catalog import Catalog
from llama_operator.errors import InputError

if TYPE_CHECKING:
    from llama_operator.catalog.user_rows import RowError, UserRows


def add_catalog_option(parser: argparse.ArgumentParser) -> None:
    """Add `--catalog FILE`, which may be given more than once."""
    parser.add_argument(
        "--catalog",
        action="append",
        default=[],
        metavar="FILE",
        help="manifest of a ConfigMap with rows of your own, - for standard input; repeatable",
    )


def load_catalog(arguments: argparse.Namespace) -> "tuple[Catalog, tuple[RowError, ...]]":
    """The catalog with the rows of `--catalog`, and what is wrong with rows left out.

    Raises:
        InputError: a file cannot be read or holds no ConfigMap.
    """
    if not arguments.catalog:
        return Catalog.load(), ()
    # Imported here: whoever gives no file needs no reader of manifests.
    from llama_operator.catalog.manifests import read_manifest

    rows: UserRows = ()
    errors: tuple[RowError, ...] = ()
    for file in arguments.catalog:
        more_rows, more_errors = read_manifest(file, _text(file))
        rows += more_rows
        errors += more_errors
    catalog, refused = Catalog.load().with_user_rows(rows)
    return catalog, errors + refused


def tell(errors: "tuple[RowError, ...]") -> None:
    """Print errors of rows to standard error, one a line."""
    for error in errors:
        print(f"llama-operator: {error}", file=sys.stderr)


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        msg = f"--catalog {file} cannot be read: {reason}"
        raise InputError(msg) from None
