"""vLLM's own parser of arguments, which needs neither a GPU nor torch.

Of the wheel, 336 MB, the Python files are unpacked beside the packages that the parser's modules
import; compiled parts and torch are left out. Who runs it replaces those.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from controlplane import external
from controlplane.progress import Progress
from engines import environments, pins

STEPS = 2
"""Steps of progress that it takes."""


def create(environment: Path, progress: Progress, done: int, of: int) -> None:
    """Make a virtual environment whose interpreter finds vLLM's Python files.

    Args:
        environment: folder of it.
        progress: hears of each step.
        done: steps that are over.
        of: steps in all.

    Raises:
        BuildError: a package could not be had, or is not the pinned one.
    """
    with progress.step("install what vLLM's parser imports", done + 1, of):
        environments.create(environment, pins.VLLM_PARSER)
    with (
        progress.step("fetch vLLM's Python files", done + 2, of),
        TemporaryDirectory(dir=environment.parent) as folder,
    ):
        download = "download --no-deps --only-binary :all: --require-hashes"
        files: list[str | Path] = ["--requirement", pins.VLLM, "--dest", folder]
        external.run([*environments.pip(environment), *download.split(), *files])
        [wheel] = Path(folder).iterdir()
        [packages] = environment.glob("lib/*/site-packages")
        with ZipFile(wheel) as archive:
            sources = [name for name in archive.namelist() if name.endswith(".py")]
            archive.extractall(packages, sources)
