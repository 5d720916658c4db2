"""Engine images from a registry of one's own."""

import pytest

from llama_operator.errors import InputError
from llama_operator.planning.image_registry import check_image_registry, mirrored_image
from unit.planning.cluster import A100, node, planned, spec

MIRROR = "registry.example.com:5000/mirror"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(
            "vllm/vllm-openai:v0.33.0", f"{MIRROR}/vllm/vllm-openai:v0.33.0", id="of Docker Hub"
        ),
        pytest.param(
            "docker.io/vllm/vllm-openai:v0.33.0",
            f"{MIRROR}/vllm/vllm-openai:v0.33.0",
            id="of Docker Hub by its host",
        ),
        pytest.param("ghcr.io/x/y:1", f"{MIRROR}/x/y:1", id="of another host"),
        pytest.param("ghcr.io/x/y/z:1", f"{MIRROR}/x/y/z:1", id="with a longer path"),
        pytest.param("localhost/x:1", f"{MIRROR}/x:1", id="of the node itself"),
        pytest.param("other:5000/x:1", f"{MIRROR}/x:1", id="of a host with a port"),
        pytest.param("ubuntu:24.04", f"{MIRROR}/library/ubuntu:24.04", id="of one word"),
        pytest.param(
            f"ghcr.io/x/y@sha256:{'0' * 64}", f"{MIRROR}/x/y@sha256:{'0' * 64}", id="by digest"
        ),
    ],
)
def test_the_host_is_replaced_and_the_path_stays(image: str, expected: str) -> None:
    assert mirrored_image(image, MIRROR) == expected
    assert mirrored_image(image, "") == image


@pytest.mark.parametrize(
    "text",
    ["registry.example.com", "registry:5000", "10.0.0.1:5000/a/b-c_d.e", "R.example.com", ""],
)
def test_accepted(text: str) -> None:
    assert check_image_registry(text) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("https://registry.example.com", id="a URL"),
        pytest.param("registry.example.com/", id="a slash at the end"),
        pytest.param("registry.example.com/Mirror", id="a path in upper case"),
        pytest.param("registry.example.com/mirror:v1", id="a tag"),
        pytest.param("registry example", id="a space"),
        pytest.param("registry.example.com\n", id="a line break"),
        pytest.param("a" * 256, id="256 characters"),
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--image-registry is .*; write a host"):
        check_image_registry(text)


def test_the_plan_records_the_image_of_the_registry() -> None:
    plan = planned(
        spec(size="8b", format="awq"), node("a", A100, 1), image_registry="registry.example.com"
    ).plan
    assert plan.image == "registry.example.com/vllm/vllm-openai:v0.33.0"


def test_an_image_of_the_spec_stays_as_it_is() -> None:
    wanted = spec(size="8b", format="awq", engine={"image": "other.example.com/vllm:v1"})
    plan = planned(wanted, node("a", A100, 1), image_registry="registry.example.com").plan
    assert plan.image == "other.example.com/vllm:v1"
