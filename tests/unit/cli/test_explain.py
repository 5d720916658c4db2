"""`llama-operator explain`, and `plan --explain`."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from llama_operator.cli import explain, plan
from llama_operator.cli.explain_view import candidate_objects, print_candidates
from llama_operator.cli.nodes_file import read_nodes_file
from llama_operator.errors import InputError
from llama_operator.planning.explain import ExplainedRow, Verdict
from llama_operator.planning.inventory import Inventory
from llama_operator.units import GIB

ROOT = Path(__file__).resolve().parents[3]
NODES = ROOT / "docs/how-to/nodes.yaml"
BODY: dict[str, Any] = {
    "apiVersion": "llama-operator.io/v1alpha1",
    "kind": "LlamaDeployment",
    "metadata": {"name": "llama-70b-awq", "namespace": "prod"},
    "spec": {"size": "70b", "format": "awq"},
}


def command(*words: str, body: dict[str, Any] = BODY) -> int:
    def read(name: str, namespace: str | None) -> tuple[dict[str, Any], Inventory]:
        assert (name, namespace) == ("llama-70b-awq", "prod")
        return body, read_nodes_file(str(NODES))

    parser = argparse.ArgumentParser()
    explain.register(parser.add_subparsers(), read)
    arguments = parser.parse_args(["explain", "llama-70b-awq", "-n", "prod", *words])
    return int(arguments.func(arguments))


def test_the_table_tells_every_candidate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "180")
    assert command() == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "prod/llama-70b-awq  fits  1x NVIDIA-A100-SXM4-80GB"
    chosen = next(line for line in lines if line.startswith("chosen"))
    assert chosen.split() == [
        *("chosen", "1x", "NVIDIA-A100-SXM4-80GB", "awq", "(Int4)", "by", "vLLM", "3.4309"),
        *("44.8", "of", "72.9", "ranks", "first;", "free", "now"),
    ]
    assert sum(line.startswith("fits ") for line in lines) == 4
    assert sum(line.startswith("too small ") for line in lines) == 2
    [sglang] = [line for line in lines if "SGLang" in line]
    assert "NVIDIA-A100-SXM4-80GB, NVIDIA-A10G" in sglang
    assert sglang.endswith("vLLM comes first and runs on these GPUs")


def test_the_json_has_the_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("-o", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["namespace"], found["name"], found["fits"]) == ("prod", "llama-70b-awq", True)
    rows = {(row.get("count"), row.get("product")): row for row in found["candidates"]}
    # 19.41 GiB are 88 % of the 22.06 of an A10G
    assert rows[1, "NVIDIA-A10G"] == {
        "verdict": "DoesNotFit",
        "reason": "each GPU lacks 25.44 GiB (27,320,852,985 bytes): "
        "the weights alone exceed what the engine may use",
        "engine": "vLLM",
        "engineVersion": "0.33.0",
        "format": "awq",
        "quantization": "Int4",
        "product": "NVIDIA-A10G",
        "count": 1,
        "usdPerHour": "1.006",
        "neededBytesPerGPU": 48_165_188_266,
        "availableBytesPerGPU": 20_844_335_281,
        "missingBytesPerGPU": 27_320_852_985,
    }
    assert rows[1, "NVIDIA-A100-SXM4-80GB"]["fitsNow"] is True
    assert rows[1, "NVIDIA-A100-SXM4-80GB"]["usdPerHour"] == "3.4309"


def test_what_does_not_fit_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    body = {**BODY, "spec": {"size": "405b", "format": "pytorch", "hub": "ModelScope"}}
    assert command(body=body) == 3
    out = capsys.readouterr().out
    assert "does not fit" in out
    assert "chosen" not in out
    assert "too small" in out


def test_a_wrong_object_is_named() -> None:
    with pytest.raises(InputError, match=r"llama-70b-awq: spec\.size"):
        command(body={**BODY, "spec": {"size": "70B"}})


def test_a_tolerance_out_of_bounds_is_refused() -> None:
    with pytest.raises(InputError, match=r"--price-tolerance-percent is -1; allowed is 0 to 1000"):
        command("--price-tolerance-percent=-1")


def test_without_a_cluster_a_file_is_proposed() -> None:
    with pytest.raises(InputError, match=r"plan --explain -f FILE"):
        explain.no_cluster("x", None)


def test_plan_explains_files_too(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    plan.register(parser.add_subparsers())
    sample = str(ROOT / "manifests/samples/llama-70b-awq.yaml")
    words = ["plan", "-f", sample, "--nodes", str(NODES), "-o", "json"]
    for more, keys in (([], False), (["--explain"], True)):
        arguments = parser.parse_args([*words, *more])
        assert arguments.func(arguments) == 0
        [found] = json.loads(capsys.readouterr().out)
        assert ("candidates" in found) is keys
    assert found["candidates"][0]["verdict"] == "Chosen"
    assert found["candidates"][0]["usdPerHour"] == found["plan"]["usdPerHour"]


def test_what_is_busy_says_so_in_json() -> None:
    [found] = candidate_objects([row(Verdict.FITS, 3)])
    assert found["fitsNow"] is False
    assert "missingBytesPerGPU" not in found
    assert "usdPerHour" not in found


def row(verdict: Verdict, needed_gib: int, product: str = "X") -> ExplainedRow:
    return ExplainedRow(
        verdict,
        "because",
        engine="vLLM",
        format="awq",
        quantization="Int4",
        product=product,
        count=1,
        needed_bytes=needed_gib * GIB,
        available_bytes=8 * GIB,
    )


@pytest.mark.parametrize(
    ("terminal", "bars"),
    [
        pytest.param(True, ["###", "#######!"], id="a terminal"),
        pytest.param(False, [], id="a pipe"),
    ],
)
def test_bars_are_for_terminals(terminal: bool, bars: list[str]) -> None:
    console = Console(force_terminal=terminal, no_color=True, width=120, highlight=False)
    with console.capture() as captured:
        print_candidates(console, [row(Verdict.CHOSEN, 3), row(Verdict.DOES_NOT_FIT, 9)])
    out = captured.get()
    assert all(bar in out for bar in bars)
    assert ("#" in out) is bool(bars)
    assert "3.0 of 8.0" in out


def test_equal_reasons_share_a_line() -> None:
    console = Console(width=120, no_color=True, highlight=False)
    rows = [row(Verdict.REFUSED, 1, product) for product in ("A", "B", "C", "D", "E")]
    with console.capture() as captured:
        print_candidates(console, rows)
    assert "1x A, 1x B, 1x C and 2 more" in captured.get()


@pytest.mark.parametrize("columns", ["80", "100", "200"])
def test_no_line_is_wider_than_the_terminal(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    command()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= int(columns)
    reason = "each GPU lacks 25.44 GiB (27,320,852,985 bytes): the weights alone exceed"
    assert set(reason.split()) <= {word for line in lines for word in line.split()}
