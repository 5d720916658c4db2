"""What is read of a repository, and how little travels for it."""

from typing import Any

import pytest

from doubles.hub_server import COMMIT, Blob, HubServer, Repository
from hub.conftest import CONFIG, LLAMA, Ask
from llama_operator.download.compare import compare
from llama_operator.download.facts import DtypeTotal, GgufTensor, HubFile, HubName
from llama_operator.errors import HubContentError, HubTooLargeError, InputError
from support.model_files import LIST, TEXT, UINT32, gguf_start, safetensors_start

HUBS: list[HubName] = ["HuggingFace", "ModelScope"]


@pytest.mark.parametrize("hub", HUBS)
def test_a_model_in_shards_is_read_without_its_weights(
    hub: HubName, server: HubServer, llama: Repository, ask: Ask
) -> None:
    facts = ask(hub=hub)
    assert facts.hub == hub
    assert facts.commit == COMMIT
    assert facts.revision == ("main" if hub == "HuggingFace" else "master")
    assert facts.config == CONFIG
    assert facts.safetensors is not None
    assert facts.safetensors.files == (
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    )
    assert facts.safetensors.index_total_bytes == 16_060_522_496
    assert facts.safetensors.dtypes == {"BF16": DtypeTotal(2, 8_030_261_248, 16_060_522_496)}
    config, first = llama.files["config.json"], "model-00001-of-00002.safetensors"
    shard = llama.files[first]
    assert HubFile("config.json", config.size, config.digest(lfs=hub == "ModelScope")) in (
        facts.files
    )
    assert HubFile(first, shard.size, shard.digest()) in facts.files
    assert llama.files[first].size > 1_050_673_152
    assert not facts.from_cache
    assert compare(facts, 16_060_522_496) is None
    assert compare(facts, 16_100_000_000) is not None
    # Two parts of 128 KiB, the rest small.
    assert server.sent < 280_000


def test_gate_and_privacy_are_told(llama: Repository, ask: Ask) -> None:
    assert ask().gated is False
    llama.gated = "manual"
    llama.commits["next"] = "f" * 40
    facts = ask(revision="next")
    assert (facts.gated, facts.private, facts.commit) == (True, False, "f" * 40)


def test_a_branch_with_a_slash_is_asked_for_as_it_is(llama: Repository, ask: Ask) -> None:
    llama.commits["refs/pr/3"] = "a" * 40
    assert ask(revision="refs/pr/3").commit == "a" * 40


def test_a_single_file_is_read_also_where_its_header_is_long(server: HubServer, ask: Ask) -> None:
    tensors = {f"layers.{number}.weight": ("F16", [1, 2], 4) for number in range(3000)}
    start = safetensors_start(tensors)
    assert len(start) > 200_000
    server.repositories["org/small"] = small = Repository()
    small.add("model.safetensors", Blob(start, len(start) + 12_000))
    small.add("consolidated.safetensors", b"never read")
    facts = ask("org/small")
    assert facts.safetensors is not None
    assert facts.safetensors.dtypes == {"F16": DtypeTotal(3000, 6000, 12_000)}
    assert facts.safetensors.index_total_bytes is None
    assert facts.config is None


@pytest.mark.parametrize(
    ("paths", "read"),
    [
        pytest.param(
            ["model.safetensors", "other.safetensors"], ["model.safetensors"], id="the usual name"
        ),
        pytest.param(
            ["consolidated.safetensors"],
            ["consolidated.safetensors"],
            id="Mistral's own format alone",
        ),
        pytest.param(
            ["consolidated.safetensors", "weights.safetensors"],
            ["weights.safetensors"],
            id="a copy in Mistral's format",
        ),
        pytest.param(["adapter_model.safetensors"], [], id="an adapter is no model"),
        pytest.param(["unet/model.safetensors"], [], id="in a folder"),
    ],
)
def test_the_files_of_the_model_are_chosen(
    paths: list[str], read: list[str], server: HubServer, ask: Ask
) -> None:
    server.repositories["org/m"] = made = Repository()
    for path in paths:
        made.add(path, safetensors_start({}))
    facts = ask("org/m")
    assert list(facts.safetensors.files if facts.safetensors else ()) == read


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param({"quantization_config": {"quant_method": "fp8"}}, None, id="in config.json"),
        pytest.param({}, {"bits": 4}, id="in its own file"),
    ],
)
def test_a_quantization_beside_the_configuration_is_read(
    config: dict[str, Any], expected: dict[str, Any] | None, server: HubServer, ask: Ask
) -> None:
    server.repositories["org/m"] = made = Repository()
    made.add("config.json", config)
    made.add("quantize_config.json", {"bits": 4})
    assert ask("org/m").quantization_config == expected


KEYS = [
    ("general.architecture", TEXT, "llama"),
    ("llama.block_count", UINT32, 32),
    ("tokenizer.ggml.tokens", LIST, (TEXT, ["word of the vocabulary"] * 200_000)),
]


@pytest.fixture
def gguf(server: HubServer) -> Repository:
    """One model in one file with a header of 6 MB, another in two parts, and a projector."""
    made = server.repositories.setdefault("org/gguf", Repository())
    start = gguf_start(
        KEYS, [("token_embd.weight", [4096, 128256], 12, 0), ("a", [32], 0, 295501824)]
    )
    data = -(-len(start) // 32) * 32
    made.add("M-Q4_K_M.gguf", Blob(start, data + 295501824 + 128))
    for part, tensor in enumerate(["blk.0.a", "blk.1.a"], start=1):
        keys = KEYS[:2] if part == 1 else []
        start = gguf_start(keys, [(tensor, [64], 8, 0)])
        data = -(-len(start) // 32) * 32
        made.add(f"Q8/M-Q8_0-0000{part}-of-00002.gguf", Blob(start, data + 68))
    made.add("mmproj-M-F16.gguf", b"GGUF")
    return made


@pytest.mark.parametrize("hub", HUBS)
def test_a_gguf_header_is_read_in_pieces(
    hub: HubName, server: HubServer, gguf: Repository, ask: Ask
) -> None:
    facts = ask("org/gguf", hub=hub, gguf="Q4_K_M")
    assert [(model.name, model.header is None) for model in facts.gguf] == [
        ("M-Q4_K_M", False),
        ("M-Q8_0", True),
        ("mmproj-M-F16", True),
    ]
    header = facts.gguf[0].header
    assert header is not None
    assert header.metadata == {"general.architecture": "llama", "llama.block_count": 32}
    assert header.list_lengths == {"tokenizer.ggml.tokens": 200_000}
    # 4096 x 128,256 weights in blocks of 256 that take 144 bytes each, and 32 of 4 bytes.
    found = [(tensor.type_name, tensor.size_bytes) for tensor in header.tensors]
    assert found == [("Q4_K", 295_501_824), ("F32", 128)]
    assert server.sent < 9_000_000


def test_the_parts_of_a_split_model_are_read_together(gguf: Repository, ask: Ask) -> None:
    [model] = [model for model in ask("org/gguf", gguf="Q8_0").gguf if model.header is not None]
    assert model.header is not None
    assert model.header.metadata["llama.block_count"] == 32
    assert model.header.tensors == (
        GgufTensor("blk.0.a", "Q8_0", (64,), 68),
        GgufTensor("blk.1.a", "Q8_0", (64,), 68),
    )
    assert model.file_bytes == sum(gguf.files[path].size for path in model.files)


def test_without_a_wish_several_models_are_listed_only(gguf: Repository, ask: Ask) -> None:
    assert all(model.header is None for model in ask("org/gguf").gguf)
    del gguf.files["M-Q4_K_M.gguf"]
    gguf.commits["main"] = "b" * 40
    assert ask("org/gguf").gguf[0].header is not None


def test_a_wish_that_no_model_meets_is_told(gguf: Repository, ask: Ask) -> None:
    with pytest.raises(InputError, match=r"Q2_K is none .*; it has M-Q4_K_M \(0\.28 GiB\), M-Q8_0"):
        ask("org/gguf", gguf="Q2_K")


def test_sizes_that_are_not_listed_come_from_the_storage(gguf: Repository, ask: Ask) -> None:
    gguf.told_sizes = False
    facts = ask("org/gguf", gguf="Q4_K_M")
    assert facts.gguf[0].file_bytes is None
    header = facts.gguf[0].header
    assert header is not None
    assert header.tensor_bytes == 295_501_824 + 128


def test_a_server_that_ignores_ranges_is_read_as_far_as_needed(
    server: HubServer, gguf: Repository, ask: Ask
) -> None:
    start = safetensors_start({f"t{number}": ("F16", [2], 4) for number in range(3000)})
    gguf.files = {"model.safetensors": Blob(start, len(start) + 12_000)}
    server.ignores_ranges = True
    facts = ask("org/gguf")
    assert facts.safetensors is not None
    assert facts.safetensors.tensor_bytes == 12_000


def test_an_index_of_files_that_are_not_there_is_told(llama: Repository, ask: Ask) -> None:
    del llama.files["model-00002-of-00002.safetensors"]
    with pytest.raises(HubContentError, match=r"names model-00002-of-00002\.safetensors, which"):
        ask()


def test_a_model_in_more_files_than_are_read_is_told(server: HubServer, ask: Ask) -> None:
    server.repositories["org/many"] = many = Repository()
    names = [f"{number:05}.safetensors" for number in range(1001)]
    for name in names:
        many.add(name, b"")
    many.add("model.safetensors.index.json", {"weight_map": {name: name for name in names}})
    with pytest.raises(HubTooLargeError, match="1,001 safetensors files; 1,000 are read"):
        ask("org/many")


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        pytest.param({"repository": "../etc/passwd"}, "a repository is named like", id="a path"),
        pytest.param({"repository": "a/b/c"}, "a repository is named like", id="three words"),
        pytest.param({"repository": "a b"}, "a repository is named like", id="a space"),
        pytest.param({"repository": "a/.."}, "a repository is named like", id="dots"),
        pytest.param({"repository": ""}, "a repository is named like", id="nothing"),
        pytest.param({"revision": "../x"}, "a revision is a branch", id="a revision with dots"),
        pytest.param({"revision": "a?b"}, "a revision is a branch", id="a revision with a query"),
        pytest.param({"revision": ""}, "a revision is a branch", id="an empty revision"),
        pytest.param(
            {"hub": "Elsewhere"}, "hub must be one of HuggingFace, ModelScope", id="a hub"
        ),
        pytest.param({"timeout_seconds": 0}, "timeout must be", id="no time"),
        pytest.param({"timeout_seconds": float("nan")}, "timeout must be", id="no number"),
        pytest.param({"endpoint": "nowhere"}, "endpoint must be an address", id="an endpoint"),
    ],
)
def test_wrong_arguments_are_told_before_anything_is_asked(
    wrong: dict[str, Any], part: str, server: HubServer, ask: Ask
) -> None:
    with pytest.raises(InputError, match=part):
        ask(**({"repository": LLAMA} | wrong))
    assert server.asked == []
