"""The command line: build."""

import argparse
import sys
from collections.abc import Sequence

from controlplane.errors import ControlPlaneError
from controlplane.progress import progress_for
from engines.programs import NAMES, Engines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code: 0 done, 1 failed, 2 wrong use, 130 interrupted."""
    options = _parser().parse_args(arguments)
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        print(f"error: {unknown[0]} is not one of {', '.join(NAMES)}", file=sys.stderr)
        return 2
    names = tuple(options.names) or NAMES
    engines = Engines(progress_for(sys.stderr))
    try:
        engines.ensure(names)
    except ControlPlaneError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    for name in names:
        print(engines.path(name))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="engines", description="Real engines for tests on a machine without a GPU."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="find the pinned engines, or build them")
    build.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default"
    )
    return parser
