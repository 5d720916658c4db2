"""`llama-operator size` of GGUF files: on hubs, and of this machine."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from doubles.hub_server import COMMIT, Blob, HubServer, Repository
from hub.conftest import LLAMA, Size, failure
from support.llama_8b import CONFIG
from support.model_files import LIST, TEXT, UINT32, Key, gguf_start

REPOSITORY = "org/Llama-3.1-8B-GGUF"
HUBS = ["HuggingFace", "ModelScope"]
F32, Q8_0, Q4_K, Q6_K = 0, 8, 12, 14
MATRICES = 8_029_995_008
"""Weights of Llama 3.1 8B in matrices: all but 65 norms of 4096 of its 8,030,261,248."""
Q8_0_BYTES = MATRICES // 32 * 34 + 65 * 4096 * 4
"""8,532,934,656: blocks of 32 weights in 34 bytes, and norms in F32."""
Q4_K_M_BYTES = 4_912_898_048
"""Tensors of bartowski's file of 4,920,739,232 bytes without its 7.8 MB of vocabulary."""


def keys(file_type: int, changes: Mapping[str, Any] | None = None) -> list[Key]:
    """Metadata of Llama 3.1 8B; a change to None leaves a key out."""
    numbers = {
        "llama.block_count": 32, "llama.context_length": 131072, "llama.embedding_length": 4096,
        "llama.feed_forward_length": 14336, "llama.attention.head_count": 32,
        "llama.attention.head_count_kv": 8, "general.file_type": file_type, **(changes or {}),
    }  # fmt: skip
    name = str(numbers.pop("general.architecture", "llama"))
    return [
        ("general.architecture", TEXT, name),
        *((key, UINT32, value) for key, value in numbers.items() if value is not None),
        ("tokenizer.ggml.tokens", LIST, (TEXT, ["word"] * 128_256)),
    ]


def model(file_type: int, tensor_bytes: int, changes: Mapping[str, Any] | None = None) -> Blob:
    """A file with two tensors, which take all the bytes."""
    tensors = [("token_embd.weight", [32], F32, 0), ("output.weight", [32], F32, 128)]
    return part(keys(file_type, changes), tensors, tensor_bytes)


def part(metadata: list[Key], tensors: list[Any], tensor_bytes: int) -> Blob:
    start = gguf_start(metadata, tensors)
    return Blob(start, -(-len(start) // 32) * 32 + tensor_bytes)


@pytest.fixture
def one(server: HubServer) -> Repository:
    """A repository of one GGUF file, its vision tower and its importance matrix."""
    made = server.repositories.setdefault(REPOSITORY, Repository())
    made.add("Llama-3.1-8B-Q8_0.gguf", model(7, Q8_0_BYTES))
    made.add("mmproj-F16.gguf", b"GGUF")
    made.add("Llama-3.1-8B-imatrix.gguf", b"GGUF")
    made.add("README.md", b"read me")
    return made


@pytest.fixture
def several(one: Repository) -> Repository:
    """The same with two files more, one of them split."""
    one.add("Llama-3.1-8B-Q4_K_M.gguf", model(15, Q4_K_M_BYTES))
    embedding = part(keys(1), [("token_embd.weight", [32], F32, 0)], 1_050_673_152)
    output = part([], [("output.weight", [32], F32, 0)], 15_010_381_824)
    one.add("F16/Llama-3.1-8B-F16-00001-of-00002.gguf", embedding)
    one.add("F16/Llama-3.1-8B-F16-00002-of-00002.gguf", output)
    return one


@pytest.mark.parametrize("hub", HUBS)
def test_the_only_file_is_sized_by_its_header(
    hub: str, server: HubServer, one: Repository, size: Size
) -> None:
    found = size(f"{REPOSITORY} --hub {hub} --gpu NVIDIA-L4 --max-model-len 8192")
    assert (found["model"], found["repository"]) == ("Llama-3.1-8B-Q8_0", REPOSITORY)
    assert (found["quantization"], found["engine"]) == ("Q8_0", "LlamaCpp")
    assert found["parameters"] == 8_030_261_248
    assert found["checkpoint_bytes"] == Q8_0_BYTES
    assert found["fits"] is True
    # The file with its vocabulary is what is downloaded.
    assert found["stored_bytes"] == one.files["Llama-3.1-8B-Q8_0.gguf"].size > Q8_0_BYTES
    assert found["disk"]["download_bytes"] == found["stored_bytes"]
    assert "note" not in found
    # A header of 1.5 MB, read in pieces of 4 MiB, of a file of 8.5 GB: no weights.
    assert server.sent < 4_400_000


@pytest.mark.parametrize(
    ("quantization", "title", "tensor_bytes"),
    [
        pytest.param("Q4_K_M", "Llama-3.1-8B-Q4_K_M", Q4_K_M_BYTES, id="one file"),
        pytest.param("q8_0", "Llama-3.1-8B-Q8_0", Q8_0_BYTES, id="in small letters"),
        # 2 bytes for each weight of a matrix, 4 for those of the norms.
        pytest.param("F16", "Llama-3.1-8B-F16", 16_061_054_976, id="a split model"),
        pytest.param("Llama-3.1-8B-Q8_0.gguf", "Llama-3.1-8B-Q8_0", Q8_0_BYTES, id="a path"),
    ],
)
def test_one_of_several_files_is_named(
    quantization: str, title: str, tensor_bytes: int, several: Repository, size: Size
) -> None:
    found = size(f"{REPOSITORY} --quantization {quantization}")
    assert (found["model"], found["checkpoint_bytes"]) == (title, tensor_bytes)
    assert found["stored_bytes"] == sum(
        blob.size for path, blob in several.files.items() if title in path
    )
    assert "note" not in found


def test_several_files_and_none_named(several: Repository, size: Size) -> None:
    assert failure(size, REPOSITORY) == (
        f"llama-operator: MODEL '{REPOSITORY}' has several GGUF files, so --quantization must name "
        "one: Llama-3.1-8B-F16 (14.96 GiB), Llama-3.1-8B-Q4_K_M (4.58 GiB), "
        "Llama-3.1-8B-Q8_0 (7.95 GiB)\n"
    )


def test_a_file_that_is_not_there(several: Repository, size: Size) -> None:
    told = failure(size, f"{REPOSITORY} --quantization Q2_K")
    assert (
        "--quantization: GGUF file Q2_K is none of the repository; it has Llama-3.1-8B-F16" in told
    )


def test_the_other_files_are_what_would_fit_instead(several: Repository, size: Size) -> None:
    words = "--quantization Q8_0 --gpu Tesla-T4 --gpu-memory-mib 8192 --max-model-len 4096"
    found = size(f"{REPOSITORY} {words}", status=3)
    options = [one["options"] for one in found["alternatives"]]
    assert {"--quantization": "Q4_K_M"} in options


def test_files_beside_a_configuration(several: Repository, size: Size) -> None:
    several.add("config.json", CONFIG)
    assert size(f"{REPOSITORY} --quantization Q8_0")["checkpoint_bytes"] == Q8_0_BYTES
    assert "has several GGUF files" in failure(size, REPOSITORY)
    # No file is named so: the model of the configuration in another quantization.
    assert size(f"{REPOSITORY} --quantization fp8-dynamic")["model"] == REPOSITORY


def test_files_beside_safetensors(llama: Repository, size: Size) -> None:
    llama.add("config.json", CONFIG)
    llama.add("gguf/Llama-Q8_0.gguf", model(7, Q8_0_BYTES))
    assert size(LLAMA)["checkpoint_bytes"] == 16_060_522_496
    found = size(f"{LLAMA} --quantization Q8_0")
    assert (found["model"], found["checkpoint_bytes"]) == ("Llama-Q8_0", Q8_0_BYTES)


def test_a_configuration_helps_where_the_architecture_is_not_known(
    one: Repository, size: Size
) -> None:
    one.add("Llama-3.1-8B-Q8_0.gguf", model(7, Q8_0_BYTES, {"general.architecture": "later"}))
    told = failure(size, REPOSITORY)
    assert f"MODEL '{REPOSITORY}', Llama-3.1-8B-Q8_0: general.architecture: 'later' is not" in told
    assert "known are deepseek2, gemma, " in told
    one.add("config.json", CONFIG)
    one.commits["main"] = "b" * 40
    assert size(REPOSITORY)["checkpoint_bytes"] == Q8_0_BYTES


@pytest.mark.parametrize(
    ("blob", "part"),
    [
        pytest.param(
            model(7, Q8_0_BYTES, {"llama.embedding_length": None}),
            "llama.embedding_length: is missing; a whole number from 1 to 16,777,216",
            id="a key is missing",
        ),
        pytest.param(model(36, Q8_0_BYTES), "known are F32, F16", id="a file type"),
        pytest.param(Blob(b"<html>" * 100, 600), "it does not start with GGUF", id="a page"),
        pytest.param(Blob(b"GGUF", 10**9), "is no GGUF file that can be read", id="zeros"),
        pytest.param(
            Blob(gguf_start([], [])[:16] + (2**60).to_bytes(8, "little"), 10**9),
            "Q8_0.gguf claims 0 tensors and 1,152,921,504,606,846,976 metadata keys",
            id="2 to the 60 keys",
        ),
        pytest.param(
            Blob(gguf_start([], [])[:23], 23), "Q8_0.gguf ends within its header", id="cut off"
        ),
    ],
)
def test_a_header_that_cannot_be_sized(
    blob: Blob, part: str, server: HubServer, one: Repository, size: Size
) -> None:
    name = "odd.gguf" if "file" in part or "known are F32" in part else "Q8_0.gguf"
    del one.files["Llama-3.1-8B-Q8_0.gguf"]
    one.add(name, blob)
    assert part in failure(size, REPOSITORY)
    assert server.sent < 5 * 2**20


def test_a_split_model_without_all_its_parts(several: Repository, size: Size) -> None:
    del several.files["F16/Llama-3.1-8B-F16-00002-of-00002.gguf"]
    told = failure(size, f"{REPOSITORY} --quantization F16")
    assert "Llama-3.1-8B-F16 has 1 of its 2 files" in told


def test_a_file_that_is_larger_than_computed_is_told(one: Repository, size: Size) -> None:
    # 8,618,264,002 / 8,532,934,656 = 1.01: 0.99 % of the stored bytes are missing.
    one.add("Llama-3.1-8B-Q8_0.gguf", model(7, 8_618_264_002))
    found = size(REPOSITORY)
    # every part in proportion: the output matrix and 32 layers are on the GPU, the input is not
    table = 128_256 * 4096 // 32 * 34  # of Q8_0
    assert found["checkpoint_bytes"] == 8_618_264_002
    on_gpu = found["stages"][0]["weights_bytes"]
    assert on_gpu / (8_532_934_656 - table) == pytest.approx(1.01, abs=1e-6)
    assert found["node"]["weights_bytes"] / table == pytest.approx(1.01, abs=1e-6)
    assert found["note"] == (
        "computed 7.95 GiB, 0.99% less than the 8.03 GiB (8,618,264,002 bytes) of tensors in "
        f"Llama-3.1-8B-Q8_0 in {REPOSITORY} at {COMMIT[:8]}; disk and weights are counted by the "
        "file"
    )


@pytest.mark.parametrize("hub", HUBS)
def test_offline_the_cache_answers(
    hub: str, server: HubServer, several: Repository, size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f"{REPOSITORY} --hub {hub} --quantization"
    online = size(f"{words} Q8_0")
    server.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert size(f"{words} Q8_0") == online
    assert "has several GGUF files" in failure(size, f"{REPOSITORY} --hub {hub}")
    assert "no header of the GGUF model Llama-3.1-8B-Q4_K_M" in failure(size, f"{words} Q4_K_M")
    assert server.asked == []


def test_a_sweep_goes_over_the_files(several: Repository, size: Size) -> None:
    words = "--sweep --gpu NVIDIA-L4 -tp 1"
    named = f"{words} --quantization Q4_K_M --quantization Q8_0"
    for asked, expected in ((named, ["Q4_K_M", "Q8_0"]), (words, None)):
        if expected is None:
            assert "has several GGUF files" in failure(size, f"{REPOSITORY} {asked}")
            continue
        found = size(f"{REPOSITORY} {asked}")
        assert [cell["quantization"] for cell in found] == expected
        assert all(cell["max_model_len"] for cell in found)


def test_a_sweep_over_one_file(one: Repository, size: Size) -> None:
    found = size(f"{REPOSITORY} --sweep --gpu NVIDIA-L4 -tp 1")
    assert [cell["quantization"] for cell in found] == ["Q8_0"]


def write(folder: Path, name: str, blob: Blob) -> Path:
    """A file of the whole size that takes no more room than its start."""
    path = folder / name
    with path.open("wb") as file:
        file.write(blob.start)
        file.truncate(blob.size)
    return path


def test_a_file_of_this_machine(tmp_path: Path, server: HubServer, size: Size) -> None:
    path = write(tmp_path, "Llama-Q8_0.gguf", model(7, Q8_0_BYTES))
    found = size(f"--config {path}")
    assert (found["model"], found["quantization"]) == ("Llama-Q8_0", "Q8_0")
    assert (found["checkpoint_bytes"], found["stored_bytes"]) == (Q8_0_BYTES, path.stat().st_size)
    assert "repository" not in found
    other = size(f"--config {path} --quantization Q4_K_M")
    assert other["checkpoint_bytes"] == Q4_K_M_BYTES
    assert "stored_bytes" not in other
    assert server.asked == []


def test_the_parts_of_a_file_of_this_machine(
    tmp_path: Path, several: Repository, size: Size
) -> None:
    paths = [
        write(tmp_path, path.removeprefix("F16/"), blob)
        for path, blob in several.files.items()
        if path.startswith("F16/")
    ]
    write(tmp_path, "other-Q8_0.gguf", Blob(b"<html>", 6))
    for path in paths:
        assert size(f"--config {path}")["checkpoint_bytes"] == 16_061_054_976
    paths[0].unlink()
    assert "Llama-3.1-8B-F16 has 1 of its 2 files" in failure(size, f"--config {paths[1]}")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        pytest.param(None, "x.gguf cannot be read: No such file or directory", id="missing"),
        pytest.param(b"", "x.gguf: x.gguf ends within its header", id="empty"),
        pytest.param(b"{}" * 50, "x.gguf: x.gguf is no GGUF file that can be read", id="JSON"),
        pytest.param(
            gguf_start(keys(7, {"general.architecture": "clip"}), []),
            "x.gguf: general.architecture: 'clip' is not known; known are deepseek2",
            id="a vision tower",
        ),
    ],
)
def test_a_file_of_this_machine_that_cannot_be_sized(
    content: bytes | None, part: str, tmp_path: Path, size: Size
) -> None:
    if content is not None:
        (tmp_path / "x.gguf").write_bytes(content)
    assert f"--config {tmp_path}/{part}" in failure(size, f"--config {tmp_path}/x.gguf")


def test_a_folder_that_is_named_like_a_file(tmp_path: Path, size: Size) -> None:
    (tmp_path / "x.gguf").mkdir()
    assert "x.gguf is no file" in failure(size, f"--config {tmp_path}/x.gguf")


def test_a_file_of_this_machine_that_differs_is_told(tmp_path: Path, size: Size) -> None:
    path = write(tmp_path, "Llama-Q8_0.gguf", model(7, 8_618_264_002))
    assert "0.99% less than the 8.03 GiB (8,618,264,002 bytes) of tensors in Llama-Q8_0" in (
        json.dumps(size(f"--config {path}"))
    )
