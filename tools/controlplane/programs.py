"""The programs of a control plane and the versions that the repository pins.

The versions stand in the go.mod files below `modules/` and nowhere else: a tool that updates Go
modules updates the control plane.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MODULES = Path(__file__).resolve().parent / "modules"


@dataclass(frozen=True)
class Family:
    """Programs that come out of one Go module.

    Attributes:
        name: folder below `modules/`, and part of the folder in the cache.
        module: the Go module whose version is the version of its programs.
        link_variables: Go variables set at link time; `{version}`, `{major}` and `{minor}` are
            filled in. Without them these programs do not know their own version.
    """

    name: str
    module: str
    link_variables: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Folder of the go.mod that pins the version."""
        return MODULES / self.name

    @property
    def version(self) -> str:
        """The pinned version with its leading v."""
        return pinned_version(self.folder / "go.mod", self.module)

    @property
    def link_flags(self) -> str:
        """Value of `-ldflags`: no symbol table, and the version."""
        major, minor, _ = self.version.removeprefix("v").split(".", 2)
        filled = (
            variable.format(version=self.version, major=major, minor=minor)
            for variable in self.link_variables
        )
        return " ".join(["-s -w", *(f"-X {variable}" for variable in filled)])


@dataclass(frozen=True)
class Program:
    """One executable.

    Attributes:
        name: file name, as everybody knows it.
        family: where it comes from.
        package: main package that `go build` is given.
        version_arguments: arguments that make it print its version and end.
    """

    name: str
    family: Family
    package: str
    version_arguments: tuple[str, ...] = ("--version",)

    def prints_its_version(self, output: str) -> bool:
        """Whether the output of `version_arguments` names exactly the pinned version."""
        number = re.escape(self.family.version.removeprefix("v"))
        return re.search(rf"(?<![\w.])v?{number}(?![\w.+-])", output) is not None


_VERSION_PACKAGE = "k8s.io/component-base/version"
KUBERNETES = Family(
    "kubernetes",
    "k8s.io/kubernetes",
    link_variables=(
        f"{_VERSION_PACKAGE}.gitVersion={{version}}",
        f"{_VERSION_PACKAGE}.gitMajor={{major}}",
        f"{_VERSION_PACKAGE}.gitMinor={{minor}}",
        f"{_VERSION_PACKAGE}.gitTreeState=clean",
        f"{_VERSION_PACKAGE}.gitCommit=unknown",
        f"{_VERSION_PACKAGE}.buildDate=1970-01-01T00:00:00Z",
    ),
)
ETCD = Family("etcd", "go.etcd.io/etcd/server/v3")
KWOK = Family("kwok", "sigs.k8s.io/kwok")
HELM = Family(
    "helm",
    "helm.sh/helm/v4",
    link_variables=("helm.sh/helm/v4/internal/version.version={version}",),
)

PROGRAMS = {
    program.name: program
    for program in (
        Program("kube-apiserver", KUBERNETES, "k8s.io/kubernetes/cmd/kube-apiserver"),
        Program(
            "kube-controller-manager", KUBERNETES, "k8s.io/kubernetes/cmd/kube-controller-manager"
        ),
        Program("kube-scheduler", KUBERNETES, "k8s.io/kubernetes/cmd/kube-scheduler"),
        Program("kubectl", KUBERNETES, "k8s.io/kubernetes/cmd/kubectl", ("version", "--client")),
        Program("etcd", ETCD, "go.etcd.io/etcd/server/v3"),
        Program("kwok", KWOK, "sigs.k8s.io/kwok/cmd/kwok"),
        Program(
            "helm", HELM, "helm.sh/helm/v4/cmd/helm", ("version", "--template", "{{.Version}}")
        ),
    )
}


@cache
def pinned_version(go_mod: Path, module: str) -> str:
    """Version of a module that a go.mod requires.

    Raises:
        ValueError: the go.mod does not require the module.
    """
    found = re.search(
        rf"^\s*(?:require\s+)?{re.escape(module)}\s+(v\S+)", go_mod.read_text(), re.MULTILINE
    )
    if found is None:
        raise ValueError(f"{go_mod} requires no version of {module}")
    return found[1]


@cache
def go_version_of(go_mod: Path) -> tuple[int, int]:
    """Oldest Go, as (major, minor), that a go.mod allows.

    Raises:
        ValueError: the go.mod has no go line.
    """
    found = re.search(r"^go\s+(\d+)\.(\d+)", go_mod.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{go_mod} has no go line")
    return int(found[1]), int(found[2])
