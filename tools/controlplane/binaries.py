"""Finding the pinned programs, or building them once.

A program is looked for in the cache, in `$KUBEBUILDER_ASSETS`, on the PATH; one of exactly the
pinned version is taken, otherwise it is built into the cache. The cache has one folder per family
and version, so a new Helm does not build Kubernetes again.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from controlplane import stages, toolchain
from controlplane.cache import cache_folder, make_once
from controlplane.programs import KWOK, MODULES, PROGRAMS, Program
from controlplane.progress import Progress, SilentProgress

CONTROL_PLANE = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "etcd",
    "kwok",
)
STAGES = "stages.yaml"
PKI = "pki"
EVERYTHING = (*CONTROL_PLANE, "helm", PKI, STAGES)
_BUILD_FLAGS_OF_PKI = "-s -w"


class Binaries:
    """The programs, each found or built when it is first asked for.

    Args:
        progress: hears of every build.
        cache: folder of built programs; None means the one that all checkouts share.
    """

    def __init__(self, progress: Progress | None = None, cache: Path | None = None) -> None:
        self._progress: Progress = progress or SilentProgress()
        self._cache = cache or cache_folder("controlplane")
        self._found: dict[str, Path] = {}

    @property
    def kube_apiserver(self) -> Path:
        """The API server."""
        return self.path("kube-apiserver")

    @property
    def kube_controller_manager(self) -> Path:
        """The controllers of Kubernetes itself."""
        return self.path("kube-controller-manager")

    @property
    def kube_scheduler(self) -> Path:
        """The scheduler."""
        return self.path("kube-scheduler")

    @property
    def kubectl(self) -> Path:
        """The command line client of the same version."""
        return self.path("kubectl")

    @property
    def etcd(self) -> Path:
        """The store of the API server."""
        return self.path("etcd")

    @property
    def kwok(self) -> Path:
        """The program that simulates nodes and their pods."""
        return self.path("kwok")

    @property
    def helm(self) -> Path:
        """Helm; no control plane needs it, so it is built when first asked for."""
        return self.path("helm")

    @property
    def pki(self) -> Path:
        """The program that writes keys and certificates; its source is part of the repository."""
        return self.path(PKI)

    @property
    def stages(self) -> Path:
        """KWOK's fast stages: how simulated nodes and pods become ready and go away."""
        return self.path(STAGES)

    def path(self, name: str) -> Path:
        """Path of one program."""
        self.ensure((name,))
        return self._found[name]

    def ensure(self, names: Sequence[str]) -> None:
        """Find all of these programs, and build those that are missing.

        Raises:
            ToolMissingError: something must be built and there is no suitable Go.
            BuildError: a build failed.
        """
        missing = [name for name in names if name not in self._found and not self._find(name)]
        for number, name in enumerate(missing, start=1):
            with self._progress.step(f"build {name}", number, len(missing)):
                self._found[name] = self._build(name)

    def _find(self, name: str) -> bool:
        cached = self._cached(name)
        if cached.exists():
            self._found[name] = cached
        elif name in PROGRAMS:
            elsewhere = _find_elsewhere(PROGRAMS[name])
            if elsewhere is not None:
                self._found[name] = elsewhere
        return name in self._found

    def _cached(self, name: str) -> Path:
        if name == PKI:
            return self._cache / f"pki-{_source_hash(MODULES / PKI)}" / name
        family = KWOK if name == STAGES else PROGRAMS[name].family
        return self._cache / f"{family.name}-{family.version}" / name

    def _build(self, name: str) -> Path:
        target = self._cached(name)
        make_once(target, partial(_make, name))
        return target


def _make(name: str, output: Path) -> None:
    if name == STAGES:
        source = toolchain.module_source(KWOK.folder, KWOK.module, KWOK.version)
        output.write_text(stages.read(source))
    elif name == PKI:
        toolchain.build(MODULES / PKI, ".", _BUILD_FLAGS_OF_PKI, output)
    else:
        family = PROGRAMS[name].family
        toolchain.build(family.folder, PROGRAMS[name].package, family.link_flags, output)


def _find_elsewhere(program: Program) -> Path | None:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    candidates = (assets and shutil.which(program.name, path=assets), shutil.which(program.name))
    for candidate in candidates:
        if candidate and _has_pinned_version(Path(candidate), program):
            return Path(candidate).absolute()
    return None


def _has_pinned_version(path: Path, program: Program) -> bool:
    try:
        answer = subprocess.run(
            [path, *program.version_arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and program.prints_its_version(answer.stdout)


def _source_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
