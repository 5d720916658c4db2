"""The images' files say what the catalog says: versions, users, entrypoints; everything pinned."""

import json
import re
from pathlib import Path

import pytest

from llama_operator.catalog.engine_tables import read_engine_images
from llama_operator.engines import mlx, transformers, vllm

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "images"
NAMES = sorted(path.parent.name for path in IMAGES.glob("*/Dockerfile"))
FULL_TAG = re.compile(r"[\w./-]+:v?[0-9]+\.[0-9]+\.[0-9]+[\w.-]*")


def instructions(name: str) -> list[tuple[str, str]]:
    """Words and arguments of a Dockerfile, one per instruction."""
    text = (IMAGES / name / "Dockerfile").read_text()
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    lines = plain.replace("\\\n", " ").splitlines()
    return [
        (word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines) if word
    ]


def last(name: str, wanted: str) -> str:
    return [rest for word, rest in instructions(name) if word == wanted][-1]


def default_image(engine: str) -> tuple[str, str]:
    """Version and image of an engine for a node with the newest driver."""
    row = next(row for row in read_engine_images() if row.engine == engine)
    return row.version, row.image


def test_there_is_a_file_for_each_image_of_this_project() -> None:
    ours = {row.image for row in read_engine_images() if row.image.startswith("llama-operator/")}
    assert {image.partition("/")[2].partition(":")[0] for image in ours} < set(NAMES)
    assert NAMES == ["mlx-lm", "operator", "transformers", "vllm"]


@pytest.mark.parametrize("name", NAMES)
def test_bases_have_full_versions(name: str) -> None:
    bases = [rest.partition(" ")[0] for word, rest in instructions(name) if word == "FROM"]
    assert bases
    assert all(FULL_TAG.fullmatch(base) for base in bases)
    assert len(set(bases)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_nobody_is_root(name: str) -> None:
    user, _, group = last(name, "USER").partition(":")
    assert int(user) > 0
    assert group.isdecimal()


@pytest.mark.parametrize("name", NAMES)
def test_packages_are_pinned_by_hash(name: str) -> None:
    for word, rest in instructions(name):
        assert word != "ADD"
        installs = [part for part in rest.split("&&") if " install " in part]
        assert all("--require-hashes" in part and "--no-deps" in part for part in installs)
        assert "apt" not in rest.split()


@pytest.mark.parametrize("name", NAMES)
def test_only_what_is_copied_is_sent_to_the_builder(name: str) -> None:
    allowed = (IMAGES / name / "Dockerfile.dockerignore").read_text().split()
    assert allowed[0] == "*"
    copied = {
        rest.split()[0]
        for word, rest in instructions(name)
        if word == "COPY" and not rest.startswith("--from")
    }
    assert {line.removeprefix("!") for line in allowed[1:] if line.startswith("!")} == copied
    assert all((ROOT / path).exists() for path in copied)


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_builds_it(name: str) -> None:
    command = re.search(r"docker build .*", (IMAGES / name / "Dockerfile").read_text())
    assert command is not None
    assert f"`{command[0]}`" in (IMAGES / "README.md").read_text()


@pytest.mark.parametrize(
    ("engine", "name", "package", "user", "entrypoint", "captured"),
    [
        (
            *("Transformers", "transformers", "transformers", transformers.USER_ID),
            *(["transformers"], "transformers-5.23.0.serve.json"),
        ),
        ("MLX", "mlx-lm", "mlx-lm", mlx.USER_ID, ["mlx_lm.server"], "mlx-lm-0.32.2.flags.json"),
    ],
)
def test_our_images_hold_the_version_of_the_catalog(
    engine: str, name: str, package: str, user: int, entrypoint: list[str], captured: str
) -> None:
    version, image = default_image(engine)
    assert image == f"llama-operator/{name}:{version}"
    assert f"-t {image} ." in (IMAGES / name / "Dockerfile").read_text()
    pins = (ROOT / "requirements" / f"image-{name}.txt").read_text()
    assert re.search(rf"^{package}=={re.escape(version)} ", pins, re.MULTILINE)
    assert re.search(r"^(nvidia-cuda-runtime|mlx-cuda-13)==[0-9.]+ ", pins, re.MULTILINE)
    assert last(name, "USER") == f"{user}:{user}"
    assert json.loads(last(name, "ENTRYPOINT")) == entrypoint
    assert version in captured
    assert (ROOT / "tests" / "captures" / captured).exists()


def test_vllm_is_the_one_of_the_catalog_and_the_captured_flags() -> None:
    version, image = default_image("vLLM")
    assert last("vllm", "FROM") == image == f"vllm/vllm-openai:v{version}"
    assert (ROOT / "tests" / "captures" / f"vllm-{version}.flags.json").exists()
    assert last("vllm", "USER") == f"{vllm.USER_ID}:0"
