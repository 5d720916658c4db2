"""`llama-operator plan`. The golden tables are what it prints at 100 columns; remake one with

    COLUMNS=100 NO_COLOR=1 llama-operator plan -f CASE.yaml --nodes nodes.json > CASE.txt

in the folder golden, and review the difference like code.
"""

import argparse
import io
import json
from pathlib import Path

import pytest
import yaml

from llama_operator.api.plan import Plan
from llama_operator.cli import plan
from llama_operator.cli.main import main
from llama_operator.errors import InputError
from llama_operator.planning.nodes import inventory_from_nodes

GOLDEN = Path(__file__).parent / "golden"
NODES = GOLDEN / "nodes.json"
DEPLOYMENT = """\
apiVersion: llama-operator.io/v1alpha1
kind: LlamaDeployment
metadata:
  name: {name}
spec:
  size: {size}
  format: {format}
"""


def document(name: str = "llama-70b-awq", size: str = "70b", format_name: str = "awq") -> str:
    return DEPLOYMENT.format(name=name, size=size, format=format_name)


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    plan.register(parser.add_subparsers())
    arguments = parser.parse_args(["plan", *words])
    return int(arguments.func(arguments))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return tmp_path / "manifest.yaml"


@pytest.mark.parametrize("case", sorted(path.stem for path in GOLDEN.glob("*.yaml")))
def test_the_table_is_the_golden_one(
    case: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    command("-f", str(GOLDEN / f"{case}.yaml"), "--nodes", str(NODES))
    assert capsys.readouterr().out == (GOLDEN / f"{case}.txt").read_text("utf-8")


@pytest.mark.parametrize("columns", ["80", "100", "200"])
def test_no_line_is_wider_than_the_terminal_but_a_patch(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for case in GOLDEN.glob("*.yaml"):
        command("-f", str(case), "--nodes", str(NODES), "--no-color")
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if '{"spec"' not in line) <= int(columns)


@pytest.mark.parametrize(
    ("words", "environment", "colored"),
    [
        pytest.param([], {}, True, id="a terminal"),
        pytest.param(["--no-color"], {}, False, id="--no-color"),
        pytest.param([], {"NO_COLOR": "1"}, False, id="NO_COLOR"),
    ],
)
def test_colours_can_be_turned_off(
    words: list[str],
    environment: dict[str, str],
    colored: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command("-f", str(GOLDEN / "llama-70b-awq.yaml"), "--nodes", str(NODES), *words)
    # white on blue, the weights of the bar
    assert ("37;44m" in capsys.readouterr().out) is colored


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        pytest.param([document()], 0, id="one that fits"),
        pytest.param([document(size="405b", format_name="pytorch")], 3, id="one that does not"),
        pytest.param(
            [document(), document("other", "405b", "pytorch")], 3, id="one of two does not"
        ),
        pytest.param([document("a"), document("b", "8b")], 0, id="two that fit"),
        pytest.param([document("a", "71b")], 3, id="a size that does not exist"),
    ],
)
def test_exit_status(
    documents: list[str], expected: int, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.write_text("---\n".join(documents))
    assert command("-f", str(manifest), "--nodes", str(NODES)) == expected
    assert capsys.readouterr().out.count("default/") == len(documents)


def test_standard_input_is_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(document()))
    assert command("-f", "-", "--nodes", str(NODES)) == 0
    assert "default/llama-70b-awq  fits  1x NVIDIA-A100-SXM4-80GB" in capsys.readouterr().out


def test_json_is_the_typed_outcome(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest.write_text(f"{document()}---\n{document('big', '405b', 'pytorch')}")
    assert command("-f", str(manifest), "--nodes", str(NODES), "-o", "json") == 3
    fits, refused = json.loads(capsys.readouterr().out)
    assert (fits["name"], fits["fits"], fits["fitsNow"]) == ("llama-70b-awq", True, True)
    found = Plan.model_validate(fits["plan"])
    assert found.memory_per_gpu.weights_bytes == 39_900_954_624
    assert (refused["name"], refused["fits"]) == ("big", False)
    assert refused["reason"] == "WeightsTooLarge"
    assert refused["neededBytesPerGPU"] > refused["availableBytesPerGPU"]
    assert refused["alternatives"] == []


def test_yaml_says_the_same_as_json(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest.write_text(document("llama-70b", "70b", "pytorch"))
    words = ("-f", str(manifest), "--nodes", str(NODES), "-o")
    command(*words, "json")
    as_json = json.loads(capsys.readouterr().out)
    command(*words, "yaml")
    assert yaml.safe_load(capsys.readouterr().out) == as_json
    assert as_json[0]["alternatives"][0]["patch"] == '{"spec":{"format":"awq"}}'


def test_what_waits_is_told(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest.write_text(document() + "  replicas: 9\n")
    assert command("-f", str(manifest), "--nodes", str(NODES)) == 0
    assert "needs 9 GPUs" in " ".join(capsys.readouterr().out.split())


def test_other_kinds_are_noted_and_left_out(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.write_text(f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n---\n{document()}")
    assert command("-f", str(manifest), "--nodes", str(NODES)) == 0
    assert capsys.readouterr().err == (
        f"llama-operator: {manifest}, document 1: kind Secret is left out; "
        "only LlamaDeployment is planned\n"
    )


def test_rows_of_the_users_own_catalog_are_planned(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpus = tmp_path / "gpus.yaml"
    gpus.write_text("kind: ConfigMap\nmetadata: {name: ours}\ndata: {gpus.yaml: 'x'}\n")
    manifest.write_text(document())
    status = command("-f", str(manifest), "--nodes", str(NODES), "--catalog", str(gpus))
    captured = capsys.readouterr()
    assert status == 2
    assert "ours" in captured.err
    assert "default/llama-70b-awq  fits" in captured.out


def test_without_a_nodes_file_the_given_reader_is_asked(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.write_text(document())
    inventory = inventory_from_nodes(json.loads(NODES.read_text("utf-8"))["items"])
    parser = argparse.ArgumentParser()
    plan.register(parser.add_subparsers(), lambda: inventory)
    arguments = parser.parse_args(["plan", "-f", str(manifest)])
    assert arguments.func(arguments) == 0
    assert "fits" in capsys.readouterr().out


def test_without_nodes_the_error_says_how_to_get_them(manifest: Path) -> None:
    manifest.write_text(document())
    with pytest.raises(InputError, match="kubectl get nodes -o json > nodes"):
        command("-f", str(manifest))


def test_bad_input_is_told_on_one_line_with_exit_status_2(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.write_text(document() + "  contxt: {}\n")
    assert main(["plan", "-f", str(manifest), "--nodes", str(NODES)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(
        f"llama-operator: {manifest}, document 1 (llama-70b-awq): spec.contxt: unknown field; "
        "did you mean context? allowed: "
    )
