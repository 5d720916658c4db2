"""Helm and kubectl of the pinned versions, and the chart as they render it."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane import Binaries, ControlPlane

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "llama-operator"
NAMESPACE = "llama-operator-system"
RELEASE = "llama-operator"

Objects = list[dict[str, Any]]


def parse(text: str) -> Objects:
    """The objects of a YAML text."""
    return [one for one in yaml.load_all(text, Loader=yaml.CSafeLoader) if one]


class Helm:
    """Helm, with a home of its own.

    Args:
        binaries: where it comes from.
        home: an empty folder.
        kubeconfig: the cluster it works on; None for commands that need none.
    """

    def __init__(self, binaries: Binaries, home: Path, kubeconfig: Path | None = None) -> None:
        self._program = binaries.helm
        self._home = home
        # Without a kubeconfig Helm must not find one of the user.
        self._kubeconfig = kubeconfig or home / "none"

    def run(self, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
        """Run Helm with values; its output, and a failing test when it fails."""
        done = self.attempt(*arguments, values=values)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def attempt(
        self, *arguments: str, values: Mapping[str, Any] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run Helm with values, which may fail."""
        given = () if values is None else ("--values", "-")
        environment = os.environ | {
            "HOME": str(self._home),
            "HELM_CACHE_HOME": str(self._home / "cache"),
            "HELM_CONFIG_HOME": str(self._home / "config"),
            "HELM_DATA_HOME": str(self._home / "data"),
            "KUBECONFIG": str(self._kubeconfig),
        }
        return subprocess.run(
            [self._program, *arguments, *given],
            env=environment,
            input=json.dumps(values) if values is not None else "",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def template(self, values: Mapping[str, Any] | None = None) -> str:
        """The text that the chart renders."""
        return self.run("template", RELEASE, str(CHART), "-n", NAMESPACE, values=values or {})

    def objects(self, values: Mapping[str, Any] | None = None) -> Objects:
        """The objects that the chart renders."""
        return parse(self.template(values))


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """The pinned programs."""
    return Binaries()


@pytest.fixture(scope="session")
def helm(binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm without a cluster."""
    return Helm(binaries, tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def chart(helm: Helm) -> Objects:
    """The chart's objects with default values."""
    return helm.objects()


@pytest.fixture(scope="session")
def base(binaries: Binaries) -> Objects:
    """The objects of the kustomize base."""
    return kustomize(binaries, ROOT / "manifests")


def kustomize(binaries: Binaries, folder: Path) -> Objects:
    """What kubectl makes of a kustomization."""
    done = subprocess.run(
        [binaries.kubectl, "kustomize", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return parse(done.stdout)


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """A control plane of its own: installing moves the CRD under the feet of other tests."""
    strict = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"
    with ControlPlane.start(kwok=False, api_server_flags=[strict]) as plane:
        yield plane
