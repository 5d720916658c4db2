"""The files of requirements that pin what is built and installed here.

The versions stand in pyproject.toml, in dependency groups of the same names; `make lock` writes
these files with a hash for each package.
"""

import hashlib
import re
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[2] / "requirements"
LLAMA_CPP = _FOLDER / "llama-cpp.txt"
LLAMA_CPP_BUILD = _FOLDER / "llama-cpp-build.txt"
MLX = _FOLDER / "mlx.txt"
VLLM = _FOLDER / "vllm.txt"
VLLM_PARSER = _FOLDER / "vllm-parser.txt"


def pinned_version(requirements: Path, package: str) -> str:
    """Version of a package that a file of requirements pins.

    Raises:
        ValueError: the file does not pin the package.
    """
    found = re.search(rf"^{re.escape(package)}==(\S+)", requirements.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{requirements} pins no version of {package}")
    return found[1]


def key(*parts: str) -> str:
    """Short name of a combination of texts, for a folder in the cache."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
