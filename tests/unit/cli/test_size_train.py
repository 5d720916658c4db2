"""`llama-operator size --train`: what is printed, and what was published beside it."""

import json
from typing import Any

import pytest

from llama_operator.cli.main import main

GB = 10**9


def train(words: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    status = main(["size", *words.split(), "-o", "json"])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    found: dict[str, Any] = json.loads(printed.out)
    return found


@pytest.mark.parametrize(
    ("method", "quantization", "trained", "weights"),
    [
        pytest.param("full", "none", 8_030_261_248, 16_060_522_496, id="all weights"),
        pytest.param("lora", "none", 41_943_040, 16_060_522_496, id="adapters"),
        pytest.param("qlora", "bnb-nf4-dq", 41_943_040, 5_702_295_552, id="beside 4 bit"),
    ],
)
def test_a_method(
    method: str,
    quantization: str,
    trained: int,
    weights: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = train(f"llama-3.1-instruct 8b --train {method}", capsys)
    assert found["quantization"] == quantization
    assert found["trained_parameters"] == trained
    assert found["weights_bytes"] == weights
    parts = ("weights", "adapter", "gradient", "optimizer", "activation", "temporary")
    assert found["total_bytes"] == sum(found[f"{part}_bytes"] for part in parts)


def test_every_option_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    found = train(
        "llama-3.1-instruct 8b --train lora --lora-rank 8 --lora-targets q-v --gpus 4 --zero3 "
        "--batch-size 2 --sequence-length 512 --no-checkpointing --optimizer adamw-8bit",
        capsys,
    )
    told = {
        "lora_rank": 8, "lora_targets": "q-v", "gpus": 4, "zero3": True, "batch_size": 2,
        "sequence_length": 512, "checkpointing": False, "optimizer": "adamw-8bit",
        "trained_parameters": 3_407_872,
    }  # fmt: skip
    assert {key: found[key] for key in told} == told


@pytest.mark.parametrize(
    ("size", "published"),
    [
        pytest.param("8b", [60, 16, 6], id="8B"),
        pytest.param("70b", [300, 160, 48], id="70B"),
        pytest.param("405b", [3250, 950, 250], id="405B"),
    ],
)
def test_published_figures_stand_beside_with_their_signed_error(
    size: str, published: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    found = train(f"llama-3.1-instruct {size} --train lora", capsys)
    rows = found["published"]
    assert [row["method"] for row in rows] == ["full", "lora", "qlora"]
    assert [row["published_bytes"] for row in rows] == [GB * figure for figure in published]
    assert rows[1]["computed_bytes"] == found["total_bytes"]
    for row in rows:
        error = 100 * (row["computed_bytes"] / row["published_bytes"] - 1)
        assert row["error_percent"] == pytest.approx(error, abs=0.01)


def test_adapters_are_near_what_was_published(capsys: pytest.CaptureFixture[str]) -> None:
    # One sequence of 512 tokens: the post says nothing of batches. Its rows for adapters are near
    # weights and adapters alone; that for all weights follows no formula.
    for size in ("8b", "70b", "405b"):
        found = train(f"llama-3.1-instruct {size} --train lora --sequence-length 512", capsys)
        _, lora, qlora = found["published"]
        assert abs(lora["error_percent"]) < 20
        assert abs(qlora["error_percent"]) < 20


def test_another_model_has_nothing_published(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("llama-3.1-instruct 8b --train full", capsys)["published"]
    assert main(["size", "llama-3.1-instruct", "8b", "--train", "full"]) == 0
    assert "PUBLISHED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param("--optimizer lion", "--optimizer 'lion' is none of adamw,", id="optimizer"),
        pytest.param("--zero3", "say how many by --gpus", id="nothing to divide over"),
    ],
)
def test_what_is_wrong_is_named(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["size", "llama-3.1-instruct", "8b", "--train", "full", *words.split()]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("columns", ["80", "120"])
@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
def test_the_table(
    method: str,
    columns: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    main(["size", "llama-3.1-instruct", "8b", "--train", method, "--no-color"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"llama-3.1-instruct 8b  fine-tuning: {method}"
    names = [line.split()[1] for line in lines if line.startswith("  ") and "GiB" in line]
    adapters = [] if method == "full" else ["adapters"]
    unpacked = ["temporary"] if method == "qlora" else []
    expected = ["weights", *adapters, "gradients", "optimizer", "activations", *unpacked]
    assert names[:-1] == expected
    assert max(map(len, lines)) <= int(columns)


@pytest.mark.parametrize(
    ("product", "status"),
    [
        # 17,136,885,760 bytes: 15.96 GiB
        pytest.param("NVIDIA-L4", 0, id="22.03 GiB"),
        pytest.param("Tesla-T4", 3, id="14.58 GiB"),
    ],
)
def test_a_gpu_that_is_named_has_a_verdict(
    product: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"llama-3.1-instruct 8b --train lora --sequence-length 512 --gpu {product}"
    assert main(["size", *words.split(), "-o", "json"]) == status
    found = json.loads(capsys.readouterr().out)
    assert found["fits"] is (status == 0)
    assert found["gpu"]["product"] == product
    assert main(["size", *words.split()]) == status
    first = capsys.readouterr().out.splitlines()[0]
    assert first.endswith(("fits  " if status == 0 else "does not fit  ") + product)
