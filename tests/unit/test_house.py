"""The rules of the house that no linter knows."""

import importlib
import operator
import pkgutil
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import llama_operator

ROOT = Path(__file__).resolve().parents[2]
LINES_LIMIT = 400
TRACKED = [
    ROOT / line
    for line in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()
    if (ROOT / line).is_file()
]  # fmt: skip
PYTHON = [path for path in TRACKED if path.suffix == ".py"]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(llama_operator.__path__, "llama_operator.")
    if not module.name.endswith("__main__")
)
REGISTRIES = ("pypi.org", "files.pythonhosted.org", "registry.npmjs.org", "proxy.golang.org")
FORBIDDEN = re.compile(
    "|".join(
        [
            *map(re.escape, REGISTRIES),
            r"/(?:root|home/(?!vllm|sglang|transformers|mlx|me)[a-z]+|work)/",
            r"\.\./shared",
        ]
    )
)
SELF = Path(__file__).resolve()


def test_the_source_root_does_not_shadow_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert operator.itemgetter is not None
    assert Path(str(operator.__file__)).parent != ROOT / "operator"


@pytest.mark.parametrize("name", MODULES)
def test_every_module_can_be_imported(name: str) -> None:
    importlib.import_module(name)


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_LIMIT


def test_every_dependency_tells_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)
    groups = project["dependency-groups"]
    extras = project["project"]["optional-dependencies"]
    assert groups["plot"] == extras["plot"]
    named = [
        requirement
        for requirements in groups.values()
        for requirement in requirements
        if isinstance(requirement, str)  # no other group
    ]
    for requirement in [*project["project"]["dependencies"], *named]:
        lines = [line for line in text.splitlines() if f'"{requirement}"' in line]
        assert any(re.search(r"# \w+", line) for line in lines), requirement


@pytest.mark.parametrize(
    ("name", "least"),
    [
        *(("runtime", 20), ("dev", 20), ("mlx", 20), ("llama-cpp", 1), ("llama-cpp-build", 4)),
        *(("image-transformers", 60), ("image-mlx-lm", 40)),
    ],
)
def test_requirements_are_pinned_by_hash_and_name_no_index(name: str, least: int) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==", text, re.MULTILINE)
    blocks = re.findall(r"^[A-Za-z0-9_.-]+==.*?(?=^[A-Za-z0-9_.-]+==|\Z)", text, re.M | re.S)
    assert len(pins) == len(blocks) >= least
    assert all("--hash=sha256:" in block for block in blocks)
    assert "index-url" not in text
    assert "://" not in text


@pytest.mark.parametrize("path", TRACKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_names_a_registry_or_a_place_on_one_machine(path: Path) -> None:
    if path == SELF:
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    found = FORBIDDEN.search(text)
    assert found is None, f"{path.relative_to(ROOT)}: {found.group() if found else ''}"
