"""The option `--image-registry`: where engines' images come from instead."""

import argparse

from llama_operator.planning.image_registry import check_image_registry


def add_image_registry_option(parser: argparse.ArgumentParser) -> None:
    """Add `--image-registry HOST`."""
    parser.add_argument(
        "--image-registry",
        default="",
        metavar="HOST[/PATH]",
        help="registry that replaces the host of engine images that the plan chooses, e.g. "
        "registry.example.com/mirror; not of spec.engine.image (default: their own)",
    )


def image_registry(arguments: argparse.Namespace) -> str:
    """The registry that was given; empty for none.

    Raises:
        InputError: it is no host with a path.
    """
    return check_image_registry(arguments.image_registry)
