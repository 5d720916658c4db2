"""What all engines promise."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llama_operator.api.plan import Plan
from llama_operator.api.v1alpha1 import RESERVED_ENVIRONMENT
from llama_operator.engines.containers import STARTUP_PERIOD_SECONDS
from llama_operator.engines.engine import EnvVar, ExecProbe, HttpProbe
from llama_operator.engines.registry import ENGINES
from unit.engines.engine_plans import (
    CASES,
    IDS,
    MIB,
    PLANS,
    Variant,
    container,
    environment,
    take,
)

ROOT = Path(__file__).resolve().parents[3]
ALL = [pytest.param(plan, id=name) for name, plan in PLANS.items()]
TOKEN = {"tokenSecretRef": {"name": "hub-token", "key": "k"}}
PROGRAM = """
from unit.engines.engine_plans import CASES, container
for _, plan, variant in CASES:
    print(container(plan, variant, engine={"env": [{"name": "B"}, {"name": "A"}]}))
"""


def test_every_engine_has_a_plan_here() -> None:
    assert {plan.engine for plan in PLANS.values()} == set(ENGINES)


@pytest.mark.parametrize(("name", "plan", "variant"), CASES, ids=IDS)
def test_the_engine_takes_arguments_and_variables(name: str, plan: Plan, variant: Variant) -> None:
    take(plan, container(plan, variant))


COUNTS = {
    "max_model_len": st.integers(16, 2**20),
    "max_num_seqs": st.integers(1, 256),
    "max_num_batched_tokens": st.integers(16, 2**20),
    "utilization_percent": st.integers(1, 100),
    "tensor_parallel_size": st.sampled_from([1, 2, 4, 8, 16]),
    "startup_seconds": st.integers(0, 2**31 - 1),
}


@given(name=st.sampled_from(sorted(PLANS)), values=st.fixed_dictionaries(COUNTS))
def test_the_engine_takes_any_numbers(name: str, values: dict[str, Any]) -> None:
    plan = PLANS[name]
    if name == "TGI 2":  # as planned: a whole prompt is one step
        values["max_num_batched_tokens"] = max(
            values["max_num_batched_tokens"], values["max_model_len"]
        )
    take(plan, container(plan, Variant("", values)))


def test_the_same_plan_gives_the_same_bytes_in_every_process() -> None:
    path = os.pathsep.join(str(ROOT / name) for name in ("operator", "tools", "tests"))
    printed = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert [text.count(b"\n") for text in printed] == [len(CASES)]


@pytest.mark.parametrize("plan", ALL)
def test_no_argument_needs_a_shell(plan: Plan) -> None:
    result = container(plan)
    for word in (*result.command, *result.args):
        assert shlex.quote(word) == word


@pytest.mark.parametrize("plan", ALL)
def test_extra_arguments_come_last_and_unchanged(plan: Plan) -> None:
    extra = ["--seed=7", "$(HF_TOKEN)", "a b'c\"d", "--override-generation-config={}"]

    plain, result = container(plan), container(plan, engine={"extraArgs": extra})

    assert result.args == (*plain.args, *extra)


@pytest.mark.parametrize(("name", "plan", "variant"), CASES, ids=IDS)
def test_every_folder_of_the_environment_is_writable(
    name: str, plan: Plan, variant: Variant
) -> None:
    result = container(plan, variant)

    writable = [folder.path for folder in result.scratch]
    paths = [value for value in environment(result).values() if value.startswith("/")]
    assert paths
    for path in paths:
        assert any(path == folder or path.startswith(f"{folder}/") for folder in writable), path


@pytest.mark.parametrize("plan", ALL)
def test_scratch_folders_have_limits_and_names_of_their_own(plan: Plan) -> None:
    scratch = container(plan).scratch

    assert len({folder.name for folder in scratch}) == len(scratch)
    assert len({folder.path for folder in scratch}) == len(scratch)
    by_name = {folder.name: folder for folder in scratch}
    assert by_name["cache"].path == "/cache"
    assert by_name["cache"].size_limit_bytes == plan.host.disk_bytes
    assert by_name["tmp"].path == "/tmp"
    for folder in scratch:
        assert folder.medium == ("Memory" if folder.path == "/dev/shm" else "")
        assert folder.size_limit_bytes >= MIB


@pytest.mark.parametrize("plan", ALL)
@pytest.mark.parametrize(
    ("hub", "name"),
    [
        pytest.param("HuggingFace", "HF_TOKEN", id="Hugging Face"),
        pytest.param("ModelScope", "MODELSCOPE_API_TOKEN", id="ModelScope"),
    ],
)
def test_the_token_is_a_reference_and_never_a_value(plan: Plan, hub: str, name: str) -> None:
    result = container(plan, Variant("", {"hub": hub}), **TOKEN)

    assert EnvVar(name, value="", secret_name="hub-token", secret_key="k") in result.env
    assert [one.name for one in result.env if one.secret_name] == [name]
    assert not any("hub-token" in word for word in (*result.command, *result.args))
    assert not any(one.secret_name for one in container(plan).env)


@pytest.mark.parametrize("plan", ALL)
def test_the_users_environment_comes_last_replaces_ours_and_no_name_stands_twice(
    plan: Plan,
) -> None:
    names = [one.name for one in container(plan).env]
    ours = [name for name in names if name not in RESERVED_ENVIRONMENT][:1]
    assert ours or plan.engine == "LlamaCpp", "all of its own are kept from users"
    own = [{"name": name, "value": "mine"} for name in ("NCCL_DEBUG", *ours)]

    result = container(plan, engine={"env": own})

    names = [one.name for one in result.env]
    assert result.env[-len(own) :] == tuple(EnvVar(one["name"], value=one["value"]) for one in own)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("plan", ALL)
@pytest.mark.parametrize(
    ("seconds", "failures"),
    [
        pytest.param(1800, 180, id="a multiple of the period"),
        pytest.param(1801, 181, id="rounded up"),
        pytest.param(0, 1, id="at least one probe"),
    ],
)
def test_the_startup_probe_allows_what_the_plan_allows(
    plan: Plan, seconds: int, failures: int
) -> None:
    probe = container(plan, Variant("", {"startup_seconds": seconds})).startup

    assert (probe.period_seconds, probe.failure_threshold) == (STARTUP_PERIOD_SECONDS, failures)
    assert probe.timeout_seconds <= probe.period_seconds, "a probe that waits takes no longer"


@pytest.mark.parametrize("plan", ALL)
def test_probes_ask_the_engines_own_port_and_liveness_is_slower_to_judge(plan: Plan) -> None:
    result = container(plan)

    assert result.port == 8000
    for probe in (result.startup, result.readiness, result.liveness):
        if isinstance(probe, HttpProbe):
            assert probe.path in ("/health", "/ready")
        else:
            assert isinstance(probe, ExecProbe)
            assert probe.command[:2] == ("python3", "-c")
            assert ":8000/" in probe.command[2]
            compile(probe.command[2], "probe", "exec")
    assert result.readiness.period_seconds * result.readiness.failure_threshold == 15
    assert result.liveness.period_seconds * result.liveness.failure_threshold == 120
    assert result.readiness.timeout_seconds <= result.readiness.period_seconds
    assert result.liveness.timeout_seconds <= result.liveness.period_seconds


GRACE = {
    "vLLM": (10, 80, 120),
    "SGLang": (10, 80, 120),
    "TGI 3": (10, 80, 120),
    "TGI 2": (10, 90, 130),
    "LlamaCpp": (60, 0, 70),
    "Transformers": (10, 80, 120),
    "MLX": (60, 0, 70),
}
"""Seconds of preStop, of the drain, and until SIGKILL: their sum and 30, or 10 without a drain."""


@pytest.mark.parametrize(("name", "seconds"), GRACE.items(), ids=GRACE)
def test_the_grace_period_is_pre_stop_drain_and_exit(
    name: str, seconds: tuple[int, int, int]
) -> None:
    result = container(PLANS[name])

    found = (
        result.pre_stop_seconds,
        result.drain_seconds,
        result.termination_grace_period_seconds,
    )
    assert found == seconds


USERS = {
    "vLLM": (2000, 0, True, False),
    "SGLang": (65532, 0, True, True),
    "TGI 3": (0, 0, False, False),
    "TGI 2": (0, 0, False, False),
    "LlamaCpp": (65532, 65532, True, True),
    "Transformers": (65532, 65532, True, True),
    "MLX": (65532, 65532, True, True),
}
"""User, group, read-only root file system, and whether the pause process is number 1."""


@pytest.mark.parametrize(("name", "expected"), USERS.items(), ids=USERS)
def test_user_and_file_system(name: str, expected: tuple[int, int, bool, bool]) -> None:
    result = container(PLANS[name])

    assert result.image == PLANS[name].image
    found = (
        result.user_id,
        result.group_id,
        result.read_only_root,
        result.shared_process_namespace,
    )
    assert found == expected
