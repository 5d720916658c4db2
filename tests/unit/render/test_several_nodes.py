"""LeaderWorkerSets: what each pod is told, who answers, and what schedulers read."""

from typing import Any

import pytest
import yaml

from llama_operator.api.plan import Plan
from llama_operator.errors import RenderError
from llama_operator.render.checks import check
from llama_operator.render.leader_worker_set import GroupRestart
from llama_operator.render.objects import Rendered, render
from unit.engines.engine_plans import deployment, parser
from unit.render.several_nodes import PLANS

ADDRESS = "llama-lws-0.llama-lws.ml"
"""As LeaderWorkerSet writes it: the leader's name, the Service of the set, the namespace."""


def rendered(plan: Plan, spec: dict[str, Any] | None = None, **options: Any) -> Rendered:
    return render(plan, deployment(**(spec or {})), replicas=2, revision="llama-r1", **options)


def pod(result: Rendered, template: str) -> dict[str, Any]:
    found: dict[str, Any] = result.workload["spec"]["leaderWorkerTemplate"][f"{template}Template"]
    return found


def container(result: Rendered, template: str) -> dict[str, Any]:
    [found] = pod(result, template)["spec"]["containers"]
    return dict(found)


def expanded(result: Rendered, template: str, index: int) -> list[str]:
    """Arguments as the kubelet hands them to the engine."""
    variables = {"LWS_LEADER_ADDRESS": ADDRESS, "LWS_WORKER_INDEX": str(index)}
    words = container(result, template)["args"]
    for name, value in variables.items():
        words = [word.replace(f"$({name})", value) for word in words]
    return [word.replace("$$", "$") for word in words]


@pytest.mark.parametrize(
    ("engine", "template", "index", "last"),
    [
        ("vLLM", "leader", 0, ["--nnodes=2", "--node-rank=0", f"--master-addr={ADDRESS}"]),
        (
            "vLLM", "worker", 1,
            ["--nnodes=2", "--node-rank=1", f"--master-addr={ADDRESS}", "--headless"],
        ),
        (
            "SGLang", "leader", 0,
            [
                "--nnodes=2", "--node-rank=0", f"--dist-init-addr={ADDRESS}:20000",
            ],
        ),
        (
            "SGLang", "worker", 1,
            [
                "--nnodes=2", "--node-rank=1", f"--dist-init-addr={ADDRESS}:20000",
            ],
        ),
    ],
)  # fmt: skip
def test_each_pod_is_told_its_place_in_words_that_the_engine_takes(
    engine: str, template: str, index: int, last: list[str]
) -> None:
    words = expanded(rendered(PLANS[engine]), template, index)
    assert words[-len(last) :] == last
    taken = vars(parser(engine).parse(words))
    assert (taken["nnodes"], taken["node_rank"]) == (2, index)
    assert taken["tensor_parallel_size" if engine == "vLLM" else "tp_size"] == 8
    assert taken["pipeline_parallel_size" if engine == "vLLM" else "pp_size"] == 2


def test_both_pods_ask_for_the_same_but_only_the_leader_answers() -> None:
    result = rendered(PLANS["vLLM"])
    leader, worker = container(result, "leader"), container(result, "worker")
    for field in ("image", "env", "resources", "volumeMounts", "securityContext"):
        assert leader[field] == worker[field]
    assert leader["resources"]["limits"]["nvidia.com/gpu"] == "8"
    for field in ("ports", "startupProbe", "readinessProbe", "livenessProbe"):
        assert field in leader
        assert field not in worker
    for field in ("affinity", "tolerations", "volumes", "terminationGracePeriodSeconds"):
        assert pod(result, "leader")["spec"][field] == pod(result, "worker")["spec"][field]
    # Both are told to end at once: the stage of the worker stays for the 80 s of draining.
    waits = [one["lifecycle"]["preStop"]["sleep"]["seconds"] for one in (leader, worker)]
    assert waits[1] == waits[0] + 80
    assert waits[1] < pod(result, "worker")["spec"]["terminationGracePeriodSeconds"]


def test_services_select_leaders_and_the_budget_counts_every_pod() -> None:
    result = rendered(PLANS["vLLM"])
    assert result.workload["kind"] == "LeaderWorkerSet"
    assert result.workload["metadata"]["name"] == "llama-lws"
    assert result.workload["metadata"]["annotations"] == {"llama-operator.io/revision": "llama-r1"}
    answering = result.service["spec"]["selector"]
    assert answering == result.headless_service["spec"]["selector"]
    assert answering.items() <= pod(result, "leader")["metadata"]["labels"].items()
    assert not answering.items() <= pod(result, "worker")["metadata"]["labels"].items()
    assert result.pod_disruption_budget is not None
    every = result.pod_disruption_budget["spec"]["selector"]["matchLabels"]
    for template in ("leader", "worker"):
        assert every.items() <= pod(result, template)["metadata"]["labels"].items()


def test_the_set_restarts_groups_as_a_whole() -> None:
    spec = rendered(PLANS["vLLM"]).workload["spec"]
    assert (spec["replicas"], spec["startupPolicy"]) == (2, "LeaderCreated")
    assert spec["leaderWorkerTemplate"]["size"] == 2
    assert spec["leaderWorkerTemplate"]["restartPolicy"] == "RecreateGroupAfterStart"
    early = rendered(PLANS["vLLM"], group_restart=GroupRestart.ON_POD_RESTART).workload["spec"]
    assert early["leaderWorkerTemplate"]["restartPolicy"] == "RecreateGroupOnPodRestart"


def test_what_schedulers_and_the_controller_read_stands_on_the_set_too() -> None:
    labels = {"kueue.x-k8s.io/queue-name": "gpus", "team": "search"}
    annotations = {
        "leaderworkerset.sigs.k8s.io/exclusive-topology": "topology.kubernetes.io/rack",
        "scheduling.volcano.sh/queue-name": "gpus",
        "kueue.x-k8s.io/podset-required-topology": "rack",
    }
    result = rendered(
        PLANS["vLLM"], {"template": {"metadata": {"labels": labels, "annotations": annotations}}}
    )
    metadata = result.workload["metadata"]
    assert metadata["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert "team" not in metadata["labels"]
    assert set(metadata["annotations"]) == {
        "leaderworkerset.sigs.k8s.io/exclusive-topology",
        "scheduling.volcano.sh/queue-name",
        "llama-operator.io/revision",
    }
    for template in ("leader", "worker"):
        found = pod(result, template)["metadata"]
        assert labels.items() <= found["labels"].items()
        assert found["annotations"] == annotations


def test_a_user_cannot_have_the_kubelet_expand_anything() -> None:
    spec = {"engine": {"extraArgs": ["--seed=$(LWS_WORKER_INDEX)"]}}
    words = container(rendered(PLANS["vLLM"], spec), "worker")["args"]
    assert "--seed=$$(LWS_WORKER_INDEX)" in words


def test_a_wrong_field_is_a_bug_that_is_named() -> None:
    body = yaml.safe_load(yaml.safe_dump(rendered(PLANS["vLLM"]).workload))
    body["spec"]["leaderWorkerTemplate"]["sise"] = 2
    with pytest.raises(RenderError, match=r"LeaderWorkerSet: spec\.leaderWorkerTemplate\.sise"):
        check("LeaderWorkerSet", body)


def test_the_longest_name_leaves_room_for_what_leader_worker_set_adds() -> None:
    body = deployment()
    named = body.model_copy(
        update={"metadata": body.metadata.model_copy(update={"name": "a" * 52})}
    )
    name = render(PLANS["vLLM"], named, replicas=1, revision="r").workload["metadata"]["name"]
    assert len(f"{name}-999-1234567890") <= 63
