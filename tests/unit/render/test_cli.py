import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from golden.cases import CASES, Case
from llama_operator.cli import plan as plan_command
from llama_operator.cli import render as render_command
from llama_operator.errors import InputError

ALL = [pytest.param(case, id=case.name) for case in CASES]
CASE = next(case for case in CASES if case.name == "llama-70b-awq")
MANIFEST = str(CASE.folder / "input.yaml")
PLAN = str(CASE.folder / "plan.yaml")


def run(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    plan_command.register(commands)
    render_command.register(commands)
    arguments = parser.parse_args(argv)
    return int(arguments.func(arguments))


def documents(text: str) -> list[dict[str, Any]]:
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))


def node(product: str = "NVIDIA-A100-SXM4-80GB", memory_mib: int = 81_920) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": "gpu-1",
            "labels": {
                "nvidia.com/gpu.product": product,
                "nvidia.com/gpu.memory": str(memory_mib),
                "nvidia.com/gpu.count": "1",
                "nvidia.com/gpu.compute.major": "8",
                "nvidia.com/gpu.compute.minor": "0",
            },
        },
        "status": {
            "allocatable": {
                "cpu": "64",
                "memory": "512Gi",
                "ephemeral-storage": "1Ti",
                "nvidia.com/gpu": "1",
            },
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def write(path: Path, value: object) -> str:
    path.write_text(json.dumps(value), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("case", ALL)
def test_the_objects_are_those_of_the_golden(
    case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(
        "render", "-f", str(case.folder / "input.yaml"), "--plan", str(case.folder / "plan.yaml")
    )

    printed = documents(capsys.readouterr().out)
    expected = case.expected()
    workload = expected.get("statefulset") or expected["leaderworkerset"]
    kinds = ["Service", "Service", workload["kind"], "ControllerRevision"]
    if "pdb" in expected:
        kinds.insert(3, "PodDisruptionBudget")
        assert printed[3] == expected["pdb"]
    if "fetch-job" in expected:
        fetching = [printed.pop(2), printed.pop(2)]
        assert fetching[0] == expected["claim"]
        del fetching[1]["metadata"]["annotations"]
        assert fetching[1] == expected["fetch-job"]
    assert status == 0
    assert [body["kind"] for body in printed] == kinds
    assert printed[0] == expected["headless-service"]
    assert printed[1] == expected["service"]
    revision = printed[2]["metadata"]["annotations"].pop("llama-operator.io/revision")
    del workload["metadata"]["annotations"]["llama-operator.io/revision"]
    assert printed[2] == workload
    assert printed[-1]["metadata"]["name"] == revision
    assert printed[-1]["data"]["plan"] == case.plan().to_object()


def test_nodes_give_a_plan_and_the_same_objects_as_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = write(tmp_path / "nodes.json", {"kind": "List", "items": [node()]})

    assert run("render", "-f", MANIFEST, "--nodes", nodes) == 0
    rendered = capsys.readouterr().out
    assert run("plan", "-f", MANIFEST, "--nodes", nodes, "-o", "json") == 0
    plan = tmp_path / "plan.json"
    plan.write_text(capsys.readouterr().out, encoding="utf-8")
    assert run("render", "-f", MANIFEST, "--plan", str(plan)) == 0

    assert capsys.readouterr().out == rendered
    assert [body["kind"] for body in documents(rendered)] == [
        "Service",
        "Service",
        "StatefulSet",
        "ControllerRevision",
    ]


def test_plan_and_render_take_images_from_a_registry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = write(tmp_path / "nodes.json", node())
    registry = ("--image-registry", "registry.example.com/mirror")
    image = "registry.example.com/mirror/vllm/vllm-openai:v0.33.0"

    assert run("plan", "-f", MANIFEST, "--nodes", nodes, "-o", "json", *registry) == 0
    assert json.loads(capsys.readouterr().out)[0]["plan"]["image"] == image
    assert run("render", "-f", MANIFEST, "--nodes", nodes, *registry) == 0
    stateful_set = documents(capsys.readouterr().out)[2]
    assert stateful_set["spec"]["template"]["spec"]["containers"][0]["image"] == image


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(
            ("--plan", PLAN, "--image-registry", "registry.example.com"),
            "the plan of --plan names its image",
            id="a plan that is made",
        ),
        pytest.param(
            ("--image-registry", "https://registry.example.com"),
            "such as registry.example.com:5000/mirror",
            id="a URL",
        ),
    ],
)
def test_a_registry_that_cannot_be_followed_is_refused(words: tuple[str, ...], told: str) -> None:
    with pytest.raises(InputError, match=told):
        run("render", "-f", MANIFEST, *words)


def test_what_does_not_fit_is_told_and_ends_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = write(tmp_path / "nodes.json", node("NVIDIA-A10G", 23_028))
    small = tmp_path / "both.yaml"
    body = CASE.folder.joinpath("input.yaml").read_text("utf-8")
    small.write_text(
        f"{body}---\n{body.replace('llama-70b-awq', 'small').replace('70b', '8b')}", "utf-8"
    )

    status = run("render", "-f", str(small), "--nodes", nodes)

    captured = capsys.readouterr()
    assert status == 3
    assert "llama-operator: default/llama-70b-awq does not fit: WeightsTooLarge: " in captured.err
    assert [body["metadata"]["name"] for body in documents(captured.out)[:3]] == [
        "small-pods",
        "small",
        "small-a",
    ]


def test_a_file_that_says_it_does_not_fit_ends_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {
        "namespace": "default",
        "name": "llama-70b-awq",
        "fits": False,
        "reason": "WeightsTooLarge",
        "message": "too large",
    }

    status = run("render", "-f", MANIFEST, "--plan", write(tmp_path / "plan.json", [entry]))

    captured = capsys.readouterr()
    assert status == 3
    assert captured.out == ""
    assert "default/llama-70b-awq does not fit: WeightsTooLarge: too large" in captured.err


def test_objects_of_a_file_without_uid_belong_to_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "new.yaml"
    lines = CASE.folder.joinpath("input.yaml").read_text("utf-8").splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if "uid:" not in line), "utf-8")

    assert run("render", "-f", str(manifest), "--plan", PLAN) == 0

    assert "ownerReferences" not in capsys.readouterr().out


PLAN_OBJECT = CASE.plan().to_object()


@pytest.mark.parametrize(
    ("held", "message"),
    [
        pytest.param({**PLAN_OBJECT, "tp": 2}, ": tp: Extra inputs", id="an unknown field"),
        pytest.param({**PLAN_OBJECT, "maxModelLen": "8k"}, ": maxModelLen: .* integer", id="text"),
        pytest.param({"model": "llama"}, ": size: Field required", id="a field is missing"),
        pytest.param(
            {**PLAN_OBJECT, "size": "8b"},
            "plans llama-3.1-instruct 8b, but llama-70b-awq asks for llama-3.1-instruct 70b",
            id="the plan of another model",
        ),
        pytest.param(
            {**PLAN_OBJECT, "engine": "Ollama"},
            "'Ollama' is no engine; write one of LlamaCpp, MLX",
            id="engine",
        ),
        pytest.param([], "holds no plan of default/llama-70b-awq; make one", id="no plan"),
        pytest.param(["plan"], "every item must be an object; make one", id="a list of text"),
        pytest.param("plan", "must hold one list of plans, or one plan", id="text alone"),
        pytest.param(
            [{"namespace": "default", "name": "llama-70b-awq", "fits": False, "reason": "Bad"}],
            "reason: 'Bad' is none",
            id="an unknown reason",
        ),
        pytest.param(
            [{"namespace": "default", "name": "llama-70b-awq", "fits": True}],
            ": plan: Input should be",
            id="an entry without its plan",
        ),
        pytest.param(
            [{"namespace": "other", "name": "llama-70b-awq", "fits": True}],
            "holds no plan of default/llama-70b-awq",
            id="another namespace",
        ),
    ],
)
def test_a_wrong_plan_is_bad_input(held: object, message: str, tmp_path: Path) -> None:
    file = write(tmp_path / "plan.json", held)

    with pytest.raises(InputError, match=message):
        run("render", "-f", MANIFEST, "--plan", file)


def test_no_yaml_is_bad_input(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("a: [", encoding="utf-8")

    with pytest.raises(InputError, match=r"--plan .*plan\.yaml is no YAML"):
        run("render", "-f", MANIFEST, "--plan", str(file))


def test_nodes_or_a_plan_are_needed() -> None:
    with pytest.raises(InputError, match="--nodes FILE is needed"):
        run("render", "-f", MANIFEST)


def test_nodes_and_a_plan_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("render", "-f", MANIFEST, "--nodes", "nodes.json", "--plan", PLAN)
    assert "not allowed with" in capsys.readouterr().err
