"""`llama-operator size owner/name`: the configuration comes from the hub."""

import json
from typing import Any

import pytest
from huggingface_hub import constants

from doubles.hub_server import COMMIT, Blob, HubServer, Repository
from hub.conftest import LLAMA, Size, failure
from support.llama_8b import CONFIG

HUBS = ["HuggingFace", "ModelScope"]
LLAMA_BYTES = 16_060_522_496
TOKEN = "hf_secretSecretSecret"


@pytest.fixture
def complete(llama: Repository) -> Repository:
    """Llama 3.1 8B with its whole configuration."""
    llama.add("config.json", CONFIG)
    return llama


@pytest.mark.parametrize("hub", HUBS)
def test_a_repository_is_sized_as_its_configuration(
    hub: str, server: HubServer, complete: Repository, size: Size
) -> None:
    words = "--gpu NVIDIA-L40S --max-model-len 8192"
    found = size(f"{LLAMA} --hub {hub} {words}")
    assert (found["model"], found["repository"], found["fits"]) == (LLAMA, LLAMA, True)
    assert found["checkpoint_bytes"] == found["stored_bytes"] == LLAMA_BYTES
    assert "note" not in found
    # Two parts of 128 KiB of the shards, and configuration, index and listings: no weights.
    assert server.sent < 280_000


def test_a_revision_is_sized(complete: Repository, size: Size) -> None:
    complete.commits["v1"] = "f" * 40
    assert size(f"{LLAMA} --revision v1")["checkpoint_bytes"] == LLAMA_BYTES


def test_another_quantization_than_the_published_one(complete: Repository, size: Size) -> None:
    found = size(f"{LLAMA} --quantization fp8-dynamic")
    assert found["quantization"] == "fp8-dynamic"
    assert "stored_bytes" not in found


def test_a_quantization_in_its_own_file(complete: Repository, size: Size) -> None:
    complete.add("quantize_config.json", {"quant_method": "gptq", "bits": 4, "group_size": 128})
    assert size(LLAMA)["quantization"] == "gptq-int4-g128"


# One layer has 4096 * 4096 * 2 + 4096 * 1024 * 2 + 3 * 4096 * 14336 + 2 * 4096 = 218,112,000
# parameters, 436,224,000 bytes: 15,624,298,496 are computed, 2.72 % less than 16,060,522,496.
NOTE = (
    "computed 14.55 GiB, 2.72% less than the 14.96 GiB (16,060,522,496 bytes) of tensors in "
    f"{LLAMA} at {COMMIT[:8]}; disk is counted by the files, memory by the shape, which is that "
    "much off where the engine holds the files as they are"
)


def test_files_that_are_larger_than_computed_are_told(complete: Repository, size: Size) -> None:
    complete.add("config.json", {**CONFIG, "num_hidden_layers": 31})
    found = size(LLAMA)
    assert found["checkpoint_bytes"] == 15_624_298_496
    assert found["stored_bytes"] == LLAMA_BYTES
    assert found["note"] == NOTE
    # What is downloaded is what is there: 16,060,522,496 bytes, 5 percent and 1 GiB.
    assert found["disk"]["disk_bytes"] == LLAMA_BYTES + 803_026_124 + 2**30


def test_a_tower_that_is_not_known_is_what_the_files_hold_beside_the_text(
    complete: Repository, size: Size
) -> None:
    # 31 of 32 layers are text; what is left of 16,060,522,496 bytes is the tower's
    text = {**CONFIG, "num_hidden_layers": 31}
    tower = {"model_type": "new_tower", "hidden_size": 512, "intermediate_size": 1024}
    config = {
        "model_type": "llava",
        "text_config": text,
        "vision_config": {**tower, "num_hidden_layers": 2, "num_attention_heads": 8},
    }
    complete.add("config.json", config)
    found = size(LLAMA)
    assert found["checkpoint_bytes"] == LLAMA_BYTES
    assert found["bounds"][0] == (
        "vision and audio parts: what the files hold beside the text part, whole on every GPU"
    )
    assert "note" not in found


def test_a_file_that_is_read_at_once_is_the_largest_of_the_repository(
    complete: Repository, size: Size
) -> None:
    found = size(f"{LLAMA} --no-mmap -tp 2")
    # the second shard and its header, on each rank
    shard = complete.files["model-00002-of-00002.safetensors"].size
    assert found["node"]["loader_bytes"] == 2 * shard
    assert shard < LLAMA_BYTES


def test_the_table_tells_the_difference_as_well(
    complete: Repository, size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    complete.add("config.json", {**CONFIG, "num_hidden_layers": 31})
    assert NOTE in size(LLAMA, table=True)


def test_an_index_that_its_files_do_not_bear_out_is_told(complete: Repository, size: Size) -> None:
    index = json.loads(complete.files["model.safetensors.index.json"].start)
    complete.add(
        "model.safetensors.index.json", {**index, "metadata": {"total_size": 8_030_261_248}}
    )
    found = size(LLAMA)
    assert found["stored_bytes"] == LLAMA_BYTES
    assert "note" not in found


def gated(repository: Repository) -> None:
    repository.gated, repository.token = "manual", TOKEN


def private(repository: Repository) -> None:
    repository.private, repository.token = True, TOKEN


def huge(repository: Repository) -> None:
    repository.add("config.json", Blob(b"{}", 200 * 10**6))


def bomb(repository: Repository) -> None:
    repository.add("config.json", b'{"a":' * 300_000)


def no_weights(repository: Repository) -> None:
    repository.files = {"README.md": Blob(b"nothing here", 12)}


def no_config(repository: Repository) -> None:
    del repository.files["config.json"]


def strange(repository: Repository) -> None:
    repository.add("config.json", {**CONFIG, "hidden_size": "wide"})


REFUSED = [
    pytest.param(
        "nobody/nothing", None, None,
        "MODEL 'nobody/nothing': there is no repository nobody/nothing at ", id="missing",
    ),
    pytest.param(
        LLAMA, private, None, "give a token in HF_TOKEN if it is private", id="private, no token"
    ),
    pytest.param(
        LLAMA, private, "hf_other", "private and the token may not read it", id="private, a token"
    ),
    pytest.param(
        LLAMA, gated, None,
        f"MODEL '{LLAMA}': {LLAMA} is gated: accept its conditions at ", id="gated, no token",
    ),
    pytest.param(
        LLAMA, gated, "hf_other",
        f"MODEL '{LLAMA}': {LLAMA} is gated and the token's account has no access yet: accept",
        id="gated, a token without grant",
    ),
    pytest.param(
        f"{LLAMA} --revision v9", None, None,
        f"--revision 'v9': {LLAMA} has no revision v9; its branches and commits are at ",
        id="a missing revision",
    ),
    pytest.param(
        f"{LLAMA} --revision ../x", None, None,
        "--revision '../x': a revision is a branch, tag or commit such as main",
        id="a revision that is a path",
    ),
    pytest.param(
        "a/b/c", None, None, "MODEL 'a/b/c': a repository is named like Qwen/Qwen3-8B",
        id="three words",
    ),
    pytest.param(
        LLAMA, huge, None,
        f"MODEL '{LLAMA}': config.json has 200,000,000 bytes; more than 8,388,608 are not read",
        id="a configuration of 200 MB",
    ),
    pytest.param(LLAMA, bomb, None, "config.json nests more than", id="a bomb"),
    pytest.param(
        LLAMA, no_weights, None,
        f"MODEL '{LLAMA}' has no config.json and no GGUF file; give the configuration of the "
        "model that it was made from by --config, with --quantization", id="no model at all",
    ),
    pytest.param(
        LLAMA, no_config, None, f"MODEL '{LLAMA}' has no config.json and", id="weights alone"
    ),
    pytest.param(
        LLAMA, strange, None,
        f"MODEL '{LLAMA}': config.json: hidden_size: 'wide' is no whole number from 1 to",
        id="a wrong configuration",
    ),
    pytest.param(
        f"{LLAMA} 8b", None, None, "SIZE '8b': a repository has no sizes", id="a size"
    ),
    pytest.param(
        f"{LLAMA} --format awq", None, None, "--format is for models of the catalog", id="a format"
    ),
    pytest.param(
        f"{LLAMA} --quantization Q9", None, None, "--quantization: quantization 'Q9' is not known",
        id="a quantization that nobody knows",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("words", "change", "token", "part"), REFUSED)
def test_what_cannot_be_sized_is_told_in_one_line(
    words: str, change: Any, token: str | None, part: str, complete: Repository, size: Size,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if change is not None:
        change(complete)
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    assert part in failure(size, words)


@pytest.mark.parametrize(
    ("words", "token", "part"),
    [
        pytest.param(
            "nobody/nothing", None,
            "MODEL 'nobody/nothing': there is no repository nobody/nothing at ", id="missing",
        ),
        pytest.param(LLAMA, None, f"{LLAMA} is gated or private: ask for access at ", id="gated"),
        pytest.param(LLAMA, "ms-other", "the token's account may not read it", id="no grant"),
        pytest.param(
            f"{LLAMA} --revision main2", TOKEN, "--revision 'main2': ", id="a missing revision"
        ),
    ],
)  # fmt: skip
def test_model_scope_refuses(
    words: str, token: str | None, part: str, complete: Repository, size: Size,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    complete.token = TOKEN
    if token is not None:
        monkeypatch.setenv("MODELSCOPE_API_TOKEN", token)
    assert part in failure(size, f"{words} --hub ModelScope")


@pytest.mark.parametrize(
    ("hub", "variable"), [("HuggingFace", "HF_TOKEN"), ("ModelScope", "MODELSCOPE_API_TOKEN")]
)
def test_a_token_opens_a_gated_repository_and_goes_to_the_hub_alone(
    hub: str, variable: str, server: HubServer, complete: Repository, size: Size,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    gated(complete)
    monkeypatch.setenv(variable, TOKEN)
    found = size(f"{LLAMA} --hub {hub}")
    assert found["stored_bytes"] == LLAMA_BYTES
    ports = {asked.port for asked in server.asked if "Authorization" in asked.headers}
    assert ports == {server.port}
    assert server.storage_port in {asked.port for asked in server.asked}
    assert TOKEN not in json.dumps(found) + capsys.readouterr().err


@pytest.mark.parametrize("hub", HUBS)
def test_offline_the_cache_answers(
    hub: str, server: HubServer, complete: Repository, size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    online = size(f"{LLAMA} --hub {hub}")
    server.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert size(f"{LLAMA} --hub {hub}") == online
    assert size(f"{LLAMA} --hub {hub} --revision {COMMIT}") == online
    assert server.asked == []


def test_offline_without_a_cache(
    server: HubServer, complete: Repository, size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    told = failure(size, LLAMA)
    assert f"MODEL '{LLAMA}': offline, and the cache has no facts of {LLAMA} at main" in told
    assert "ask once online" in told
    assert server.asked == []


def test_a_hub_that_fails_is_no_bad_input(
    server: HubServer, complete: Repository, size: Size
) -> None:
    """Trying again may help, so the exit status differs."""
    server.plays["/api/models/"] = lambda handler: handler.write(503, b"")
    assert "fails with status 503; try again later" in failure(size, LLAMA, status=1)
