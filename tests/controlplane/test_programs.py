"""Pinned versions: read from the go.mod files, and consistent within them."""

import re
from pathlib import Path

import pytest

from controlplane.programs import (
    ETCD,
    HELM,
    KUBERNETES,
    KWOK,
    PROGRAMS,
    Family,
    go_version_of,
    pinned_version,
)


@pytest.mark.parametrize("family", [KUBERNETES, ETCD, KWOK, HELM], ids=lambda one: one.name)
def test_each_family_is_pinned_to_a_full_version(family: Family) -> None:
    assert re.fullmatch(r"v\d+\.\d+\.\d+", family.version)


def test_staging_modules_have_the_version_of_kubernetes() -> None:
    replaced = re.findall(
        r"^\s*(?:replace )?(\S+) => \S+ (v\S+)$",
        (KUBERNETES.folder / "go.mod").read_text(),
        re.MULTILINE,
    )
    assert len(replaced) > 20
    expected = "v0" + KUBERNETES.version.removeprefix("v1")
    assert {version for module, version in replaced if module.startswith("k8s.io/")} == {expected}


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_program_is_a_tool_of_its_module(name: str) -> None:
    program = PROGRAMS[name]
    assert program.package in (program.family.folder / "go.mod").read_text()


def test_programs_of_kubernetes_learn_their_version_when_linked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("controlplane.programs.pinned_version", lambda *_: "v1.36.4")
    flags = KUBERNETES.link_flags
    assert flags.startswith("-s -w -X k8s.io/component-base/version.gitVersion=v1.36.4 ")
    assert "version.gitMajor=1 " in flags
    assert "version.gitMinor=36 " in flags


@pytest.mark.parametrize(
    ("output", "same"),
    [
        pytest.param("Kubernetes v1.36.4\n", True, id="the version"),
        pytest.param("etcd Version: 1.36.4\nGit SHA: abc", True, id="without the v"),
        pytest.param("kwok version v1.36.4 go1.26.8 (linux/amd64)", True, id="among others"),
        pytest.param("Kubernetes v1.36.40", False, id="a longer number"),
        pytest.param("Kubernetes v1.36.4-rc.1", False, id="a candidate"),
        pytest.param("Kubernetes v1.36.4+k3s1", False, id="somebody's variant"),
        pytest.param("Kubernetes v11.36.4", False, id="another number in front"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_only_exactly_the_pinned_version_is_taken(
    monkeypatch: pytest.MonkeyPatch, output: str, same: bool
) -> None:
    monkeypatch.setattr("controlplane.programs.pinned_version", lambda *_: "v1.36.4")
    assert PROGRAMS["kubectl"].prints_its_version(output) is same


def test_a_module_that_is_not_required_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module m\n\ngo 1.26.0\n\nrequire example.com/a v1.2.3\n")
    assert pinned_version(tmp_path / "go.mod", "example.com/a") == "v1.2.3"
    assert go_version_of(tmp_path / "go.mod") == (1, 26)
    with pytest.raises(ValueError, match=r"requires no version of example\.com/b"):
        pinned_version(tmp_path / "go.mod", "example.com/b")
