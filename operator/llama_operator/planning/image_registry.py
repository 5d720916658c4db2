"""A registry of one's own that stands in for those of the engines' images."""

import re
from typing import Final

from llama_operator.errors import InputError

_REGISTRY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._-]*)*\Z")
_LIMIT: Final = 255
_LOCAL: Final = "localhost"
_OFFICIAL: Final = "library"
"""Where the registry that is meant without a host keeps images of one word."""


def check_image_registry(text: str) -> str:
    """A host with port and path, as it stands before an image; empty for none.

    Raises:
        InputError: it is something else, such as a URL.
    """
    if text and (len(text) > _LIMIT or _REGISTRY.match(text) is None):
        msg = (
            f"--image-registry is {text[:64]!r}; write a host, with port and path where there are "
            "some, such as registry.example.com:5000/mirror"
        )
        raise InputError(msg)
    return text


def mirrored_image(image: str, registry: str) -> str:
    """The image as a mirror has it: its host is replaced, its path stays.

    `vllm/vllm-openai:v1` and `ghcr.io/org/name:v1` become `<registry>/vllm/vllm-openai:v1` and
    `<registry>/org/name:v1`.

    Args:
        image: reference with tag or digest; without a host it is of Docker Hub.
        registry: host with port and path; empty leaves the image as it is.
    """
    if not registry or not image:
        return image
    host, slash, path = image.partition("/")
    if not slash:
        return f"{registry}/{_OFFICIAL}/{image}"
    # What tells a host from the first part of a path (distribution/reference, splitDockerDomain).
    is_host = "." in host or ":" in host or host == _LOCAL
    return f"{registry}/{path if is_host else image}"
