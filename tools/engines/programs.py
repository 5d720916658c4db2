"""Finding the pinned engines, or making them once.

`llama-server` is one static file. MLX is a virtual environment whose interpreter runs `mlx_lm`;
that of vLLM finds the modules of its parser and no more. All are kept outside the checkout; a new
version, another way of building and another set of packages get a folder of their own.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from controlplane.cache import cache_folder, make_once
from controlplane.progress import Progress, SilentProgress
from engines import environments, llama_cpp, pins, vllm

LLAMA_SERVER = "llama-server"
MLX = "mlx"
VLLM = "vllm"
NAMES = (LLAMA_SERVER, MLX, VLLM)
_STEPS = {LLAMA_SERVER: llama_cpp.STEPS, MLX: 1, VLLM: vllm.STEPS}
_PACKAGES = {MLX: "mlx-lm", VLLM: "vllm"}
"""Whose version names the folder of an environment."""


class Engines:
    """The engines, each found or made when it is first asked for.

    Args:
        progress: hears of every step.
        cache: folder of what is made; None means the one that all checkouts share.
    """

    def __init__(self, progress: Progress | None = None, cache: Path | None = None) -> None:
        self._progress: Progress = progress or SilentProgress()
        self._cache = cache or cache_folder("engines")

    @property
    def llama_server(self) -> Path:
        """llama.cpp's server for the processor."""
        return self.path(LLAMA_SERVER)

    @property
    def mlx_python(self) -> Path:
        """The interpreter that runs `-m mlx_lm server`, for the processor."""
        return self.path(MLX)

    @property
    def vllm_python(self) -> Path:
        """The interpreter that finds the modules of vLLM's parser."""
        return self.path(VLLM)

    def path(self, name: str) -> Path:
        """Path of one program."""
        self.ensure((name,))
        return self._program(name)

    def ensure(self, names: Sequence[str]) -> None:
        """Find all of these, and make those that are missing.

        Raises:
            ToolMissingError: something must be built and there is no suitable compiler.
            BuildError: a build failed.
        """
        missing = [name for name in names if not self._target(name).exists()]
        of = sum(_STEPS[name] for name in missing)
        done = 0
        for name in missing:
            make_once(self._target(name), partial(self._make, name, done, of))
            done += _STEPS[name]

    def _make(self, name: str, done: int, of: int, output: Path) -> None:
        if name == LLAMA_SERVER:
            llama_cpp.build(output, self._progress, done, of)
            return
        # An environment knows its own path, so it is made where it stays; the file that is asked
        # for afterwards says that it is whole.
        if name == VLLM:
            vllm.create(self._environment(name), self._progress, done, of)
        else:
            with self._progress.step("install mlx-lm", done + 1, of):
                environments.create(self._environment(name), pins.MLX)
        output.touch()

    def _target(self, name: str) -> Path:
        if name == LLAMA_SERVER:
            return self._cache / llama_cpp.cached_name() / LLAMA_SERVER
        return self._environment(name).with_name("whole")

    def _program(self, name: str) -> Path:
        if name == LLAMA_SERVER:
            return self._target(name)
        return environments.python(self._environment(name))

    def _environment(self, name: str) -> Path:
        files = (pins.MLX,) if name == MLX else (pins.VLLM, pins.VLLM_PARSER)
        package = _PACKAGES[name]
        version = pins.pinned_version(files[0], package)
        key = pins.key(*(file.read_text() for file in files), sys.base_prefix, sys.version)
        return self._cache / f"{package}-{version}-{key}" / "environment"
