"""`llama-operator size`: one setting, its options, and what it says where something is wrong.

Figures are those of the memory model, section 9, where no arithmetic stands beside them. The golden
tables are what it prints at 100 columns; remake one as the first line of `GOLDEN_CASES` shows.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llama_operator.cli.main import main
from support.llama_8b import CONFIG as LLAMA_8B

GOLDEN = Path(__file__).parent / "golden-size"
GOLDEN_CASES = {
    # COLUMNS=100 NO_COLOR=1 llama-operator size WORDS > golden-size/CASE.txt
    "fits": "llama-3.1-instruct 70b --format awq --gpu NVIDIA-A100-SXM4-80GB -tp 2 "
    "--max-model-len 32768 --engine-version 0.33.0",
    "does-not-fit": "llama-3.1-instruct 8b --gpu NVIDIA-A10G --engine-version 0.19.0",
    "larger-than-the-gpu": "llama-3.1-instruct 70b --gpu NVIDIA-A100-SXM4-80GB "
    "--engine-version 0.33.0",
    "stages": "llama-3.1-instruct 405b --gpu NVIDIA-H100-80GB-HBM3 -tp 8 -pp 4 "
    "--engine-version 0.19.0 --gpu-memory-utilization 0.9",
    "no-gpu": "llama-3.1-instruct 8b --engine-version 0.33.0",
}
GIB = 2**30


def size(words: str, capsys: pytest.CaptureFixture[str], expected: int = 0) -> dict[str, Any]:
    """What `size WORDS -o json` prints."""
    status = main(["size", *words.split(), "-o", "json"])
    printed = capsys.readouterr()
    assert status == expected, printed.err
    found: dict[str, Any] = json.loads(printed.out)
    return found


def with_options(words: str, options: dict[str, Any]) -> str:
    """The command with options in the place of those it has."""
    kept = words.split()
    for name, value in options.items():
        for written in (name, {"--tensor-parallel-size": "-tp"}.get(name, name)):
            if written in kept:
                del kept[kept.index(written) : kept.index(written) + 2]
        kept += [name] if value is True else [name, value]
    return " ".join(kept)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA_8B), encoding="utf-8")
    return path


@pytest.mark.parametrize("case", GOLDEN_CASES)
def test_the_table_is_the_golden_one(
    case: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    main(["size", *GOLDEN_CASES[case].split()])
    assert capsys.readouterr().out == (GOLDEN / f"{case}.txt").read_text("utf-8")


@pytest.mark.parametrize("columns", ["80", "100", "200"])
@pytest.mark.parametrize("case", GOLDEN_CASES)
def test_no_line_is_wider_than_the_terminal(
    case: str, columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    main(["size", *GOLDEN_CASES[case].split(), "--no-color"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= int(columns)


def test_colours_come_and_go(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    words = ["size", "llama-3.1-instruct", "8b", "--gpu", "NVIDIA-L40S"]
    main(words)
    assert "\x1b[37;44mW" in capsys.readouterr().out
    main([*words, "--no-color"])
    assert "44mW" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "weights_gib", "tokens"),
    [
        pytest.param("-tp 4", 0, 32.89, 449_328, id="70B in 16 bit on four H100"),
        pytest.param(
            "--quantization fp8-dynamic -tp 2", 0, None, 218_624, id="70B in FP8 on two H100"
        ),
        pytest.param(
            "--format awq -tp 4 --max-model-len 4096", 0, 9.37, 757_664, id="the card of 70B AWQ"
        ),
        pytest.param("-tp 2", 3, 65.74, 9_824, id="70B in 16 bit on two: the context is too long"),
    ],
)
def test_the_examples_of_the_memory_model(
    words: str,
    status: int,
    weights_gib: float | None,
    tokens: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = size(
        f"llama-3.1-instruct 70b {words} --gpu NVIDIA-H100-80GB-HBM3 --engine-version 0.19.0 "
        "--gpu-memory-utilization 0.9",
        capsys,
        status,
    )
    assert found["kv_cache_tokens"] == pytest.approx(tokens, rel=0.001)
    if weights_gib is not None:
        assert found["stages"][0]["weights_bytes"] / GIB == pytest.approx(weights_gib, abs=0.01)


def test_what_fits_instead_of_8b_with_its_whole_context_on_an_a10g(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = (
        "llama-3.1-instruct 8b --gpu NVIDIA-A10G --engine-version 0.19.0 "
        "--gpu-memory-utilization 0.9"
    )
    found = size(words, capsys, 3)
    assert (found["fits"], found["reason"]) == (False, "kv-cache")
    first = found["alternatives"][0]
    # 0.9 * 23,686,744,637 - 16,094,076,928 - 539,096,514 - 268,435,456 = 4,416,461,275 bytes, of
    # 131,072 a token: 2,105 blocks of 16.
    assert first["options"] == {"--max-model-len": "33680"}
    assert first["kv_cache_tokens"] == 33_680


@pytest.mark.parametrize(
    "words",
    [
        "llama-3.1-instruct 8b --gpu NVIDIA-A10G",
        "llama-3.1-instruct 70b --gpu NVIDIA-A100-SXM4-80GB",
        "llama-3.1-instruct 70b --format awq --gpu NVIDIA-A100-SXM4-40GB --max-model-len 65536",
        "llama-3.1-instruct 405b --gpu NVIDIA-H100-80GB-HBM3 -tp 8 --engine-version 0.19.0",
        "llama-3.1-instruct 8b --gpu Tesla-V100-SXM2-16GB",
        "llama-3.1-instruct 70b --format ggufv2 --quantization Q4_K_M --gpu NVIDIA-L4",
    ],
    ids=lambda words: words,
)
def test_every_alternative_fits_when_it_is_asked_for_with_the_numbers_it_told(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = size(words, capsys, 3)
    assert 1 <= len(found["alternatives"]) <= 5
    for alternative in found["alternatives"]:
        again = size(with_options(words, alternative["options"]), capsys)
        told = {key: value for key, value in alternative.items() if key != "options"}
        assert {key: again[key] for key in told} == told


def test_without_a_gpu_there_is_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    found = size("llama-3.1-instruct 8b", capsys)
    assert "fits" not in found
    assert found["gpu"] is None
    assert found["checkpoint_bytes"] == 16_060_522_496
    assert found["stages"][0]["weights_bytes"] == 16_094_076_928


def test_a_file_a_folder_and_the_catalog_agree(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = "--gpu NVIDIA-L40S --max-model-len 8192"
    of_catalog = size(f"llama-3.1-instruct 8b {rest}", capsys)
    for path in (config, config.parent):
        found = size(f"--config {path} {rest}", capsys)
        assert found["stages"] == of_catalog["stages"]
        assert found["checkpoint_bytes"] == of_catalog["checkpoint_bytes"]


def test_the_quantization_is_that_of_the_configuration_unless_it_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quantized = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**LLAMA_8B, "quantization_config": quantized}), encoding="utf-8")
    assert size(f"--config {path}", capsys)["checkpoint_bytes"] == 5_727_854_592
    named = size(f"--config {path} --quantization none", capsys)
    assert named["checkpoint_bytes"] == 16_060_522_496


def test_every_option_changes_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    found = size(
        "llama-3.1-instruct 8b --gpu NVIDIA-H100-80GB-HBM3 --gpu-memory-mib 81559 -tp 2 -pp 2 "
        "--engine vllm --engine-version 0.19.0 --max-model-len 4096 --gpu-memory-utilization 0.5 "
        "--dtype fp16 --kv-cache-dtype fp8 --max-num-seqs 32 --max-num-batched-tokens 4096 "
        "--enforce-eager --quantization fp8-dynamic",
        capsys,
    )
    told = {
        "engine": "vLLM", "engine_version": "0.19.0", "quantization": "fp8-dynamic",
        "dtype": "fp16", "kv_cache_dtype": "fp8", "tensor_parallel_size": 2,
        "pipeline_parallel_size": 2, "gpu_memory_utilization": 0.5, "max_model_len": 4096,
        "max_num_batched_tokens": 4096, "max_num_seqs": 32, "enforce_eager": True,
    }  # fmt: skip
    assert {key: found[key] for key in told} == told
    assert [stage["cuda_graph_bytes"] for stage in found["stages"]] == [0, 0]


def test_weights_of_a_gguf_file_that_stay_in_the_node_s_memory(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The input embedding of 128256 x 4096 in Q4_K: 144 bytes for 256 weights.
    words = "llama-3.1-instruct 8b --quantization Q4_K_M --gpu NVIDIA-L40S --max-model-len 8192"
    found = size(words, capsys)
    assert (found["engine"], found["node"]["weights_bytes"]) == ("LlamaCpp", 295_501_824)
    assert found["stages"][0]["weights_bytes"] + 295_501_824 == found["checkpoint_bytes"]


def test_whole_experts_where_their_width_does_not_divide(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 8 experts of width 14,332 over 8 GPUs: one each, or 1,791.5 of each
    path = tmp_path / "config.json"
    experts = {"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2}
    path.write_text(json.dumps({**LLAMA_8B, **experts, "intermediate_size": 14_332}), "utf-8")
    words = f"--config {path} --gpu NVIDIA-H100-80GB-HBM3 -tp 8 --max-model-len 8192"
    assert size(words, capsys, 3)["reason"] == "tensor-parallel-size"
    found = size(f"{words} --enable-expert-parallel", capsys)
    # a layer: an expert of 3 * 14,332 * 4,096 in 16 bit, 352,223,232 bytes
    assert found["stages"][0]["weights_bytes"] > 32 * 352_223_232


def test_attention_scores_that_llama_cpp_holds_whole(capsys: pytest.CaptureFixture[str]) -> None:
    words = "llama-3.1-instruct 8b --quantization Q4_K_M --gpu NVIDIA-L4 --max-model-len 8192"
    on, off = (size(f"{words} -fa {value}", capsys)["stages"][0] for value in ("on", "off"))
    # 512 tokens of a step * 8,192 * 32 heads * 4 bytes
    assert off["activation_bytes"] - on["activation_bytes"] == 512 * 8192 * 32 * 4


def test_the_label_of_the_node_comes_before_the_catalog(
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = size("llama-3.1-instruct 8b --gpu NVIDIA-L40S", capsys)
    half = size("llama-3.1-instruct 8b --gpu NVIDIA-L40S --gpu-memory-mib 36068", capsys, 3)
    assert own["gpu"]["total_bytes"] - half["gpu"]["total_bytes"] == 10_000 * 2**20


def test_a_gpu_that_the_catalog_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    found = size("llama-3.1-instruct 8b --gpu NVIDIA-Next --gpu-memory-mib 100000", capsys)
    assert found["fits"] is True


@pytest.mark.parametrize(
    ("words", "warning"),
    [
        # 0.95 * 22.06 GiB; 22.06 - 2.28 are free
        pytest.param(
            "--gpu NVIDIA-A10G --gpu-memory-utilization 0.95 --max-model-len 2048",
            "95 % of the GPU are 20.96 GiB; only 19.78 GiB are free when the engine starts",
            id="a share that is not free",
        ),
        pytest.param(
            "--gpu NVIDIA-H200 --max-model-len 200000",
            "the model was made for 131,072 tokens; engines refuse a longer context",
            id="a context beyond the model's",
        ),
        pytest.param(
            "--gpu NVIDIA-A10G --max-model-len 2048 --quantization bnb-nf4",
            "bitsandbytes is not part of vLLM 0.33; it needs an image with vllm-bnb-plugin",
            id="what the version does not load",
        ),
        pytest.param(
            "--gpu NVIDIA-A10G --max-model-len 2048 --quantization bnb-nf4 --engine-version 0.7.2",
            "",
            id="what an older one loads",
        ),
        pytest.param("--gpu NVIDIA-A10G --max-model-len 2048", "", id="nothing is wrong"),
    ],
)
def test_what_may_not_do_is_told(
    words: str, warning: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = size(f"llama-3.1-instruct 8b {words}", capsys)
    assert found["fits"] is True
    told = found.get("warnings", [])
    assert len(told) == bool(warning)
    assert all(text.startswith(warning) for text in told)
    main(["size", "llama-3.1-instruct", "8b", *words.split()])
    assert ("  warning " in capsys.readouterr().out) is bool(warning)


def test_a_larger_gpu_is_named_with_its_memory_where_a_label_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = (
        "llama-3.1-instruct 70b --format gptq --gpu NVIDIA-A100-SXM4-40GB-MIG-3g.20gb "
        "--gpu-memory-mib 19968 --engine-version 0.19.0"
    )
    (larger,) = [
        item["options"]
        for item in size(words, capsys, 3)["alternatives"]
        if "--gpu" in item["options"] and "--max-model-len" not in item["options"]
    ]
    assert set(larger) == {"--gpu", "--gpu-memory-mib"}
    assert size(with_options(words, larger), capsys)["fits"] is True


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        pytest.param(
            "version",
            ["pydantic", "yaml", "llama_operator.catalog", "llama_operator.sizing"],
            id="the version",
        ),
        pytest.param(
            "size llama-3.1-instruct 8b --gpu NVIDIA-L40S --max-model-len 4096",
            ["kubernetes", "aiohttp", "jinja2", "huggingface_hub", "httpx2", "matplotlib"],
            id="one setting",
        ),
        pytest.param(
            "size llama-3.1-instruct 8b --gpu NVIDIA-A10G",
            ["pydantic", "yaml", "argcomplete"],
            id="what fits instead",
        ),
        pytest.param("size --help", ["llama_operator.sizing", "kubernetes"], id="help"),
    ],
)
def test_a_command_imports_what_it_needs(words: str, absent: list[str]) -> None:
    program = (
        "import sys\n"
        "from llama_operator.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print(sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words.split()], capture_output=True, text=True, check=True
    )
    imported = json.loads(done.stderr.strip().splitlines()[-1].replace("'", '"'))
    assert "llama_operator.cli.main" in imported
    assert not set(absent) & set(imported)


def test_completion_knows_every_command_and_option() -> None:
    # Without the file argcomplete writes to descriptor 8, which only a shell opens.
    line = "llama-operator size --max-m"
    environment = {
        "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_STDOUT_FILENAME": "/dev/stdout",
    }  # fmt: skip
    program = "import sys; from llama_operator.cli.main import main; main(['size'])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert "--max-model-len" in done.stdout
