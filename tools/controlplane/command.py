"""The command line: build, up, down, status."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from controlplane import folders, processes, startup
from controlplane.binaries import EVERYTHING, Binaries
from controlplane.errors import ControlPlaneError, StartError, SupervisorError
from controlplane.plane import ControlPlane
from controlplane.progress import progress_for
from controlplane.supervision import SupervisorClient

_WATCH_SECONDS = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code: 0 done, 1 failed, 2 wrong use, 130 interrupted."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code: int = options.run(options)
    except ControlPlaneError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="controlplane",
        description="A Kubernetes control plane on this machine, with simulated GPU nodes.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="find the pinned programs, or build them")
    build.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(EVERYTHING)}; all by default"
    )
    build.set_defaults(run=_build)

    up = commands.add_parser("up", help="start a control plane and print its kubeconfig's path")
    up.add_argument("--directory", type=Path, required=True, help="run folder, new or empty")
    up.add_argument("--nodes", type=Path, help="YAML file of simulated nodes")
    up.add_argument(
        "--detach", action="store_true", help="return when it runs, instead of waiting for Ctrl-C"
    )
    up.set_defaults(run=_up)

    down = commands.add_parser("down", help="end a control plane and remove its run folder")
    down.add_argument("--directory", type=Path, required=True, help="run folder given to `up`")
    down.add_argument("--keep", action="store_true", help="leave the folder with its logs")
    down.set_defaults(run=_down)

    status = commands.add_parser("status", help="list running control planes and their processes")
    status.add_argument("--directory", type=Path, help="only the one in this run folder")
    status.set_defaults(run=_status)
    return parser


def _build(options: argparse.Namespace) -> int:
    unknown = sorted(set(options.names) - set(EVERYTHING))
    if unknown:
        print(f"error: {unknown[0]} is not one of {', '.join(EVERYTHING)}", file=sys.stderr)
        return 2
    names = tuple(options.names) or EVERYTHING
    binaries = Binaries(progress_for(sys.stderr))
    binaries.ensure(names)
    for name in names:
        print(binaries.path(name))
    return 0


def _up(options: argparse.Namespace) -> int:
    plane = ControlPlane.start(
        options.nodes, directory=options.directory, progress=progress_for(sys.stderr)
    )
    try:
        print(plane.kubeconfig, flush=True)
        if options.detach:
            plane.detach()
            return 0
        print("running; Ctrl-C ends it", file=sys.stderr)
        while True:
            _raise_for_ended(plane)
            time.sleep(_WATCH_SECONDS)
    except SupervisorError:
        print("ended from outside", file=sys.stderr)
        return 0
    finally:
        if not options.detach:
            plane.stop()


def _raise_for_ended(plane: ControlPlane) -> None:
    for name, state in plane.components().items():
        if state.state == "ended":
            raise StartError(f"{name} ended with exit code {state.exit_code}")


def _down(options: argparse.Namespace) -> int:
    directory = options.directory.resolve()
    found = folders.is_locked(directory) or directory in processes.marked()
    startup.end(directory, None, remove=not options.keep)
    print(f"ended {directory}" if found else f"nothing ran in {directory}", file=sys.stderr)
    return 0


def _status(options: argparse.Namespace) -> int:
    running = processes.marked()
    if options.directory is not None:
        directory = options.directory.resolve()
        running = {directory: running[directory]} if directory in running else {}
    if not running:
        print("no control plane is running", file=sys.stderr)
        return 1
    table = Table(box=None, header_style="bold")
    for column in ("FOLDER", "COMPONENT", "PID", "STATE"):
        table.add_column(column, overflow="fold")
    healthy = True
    for directory, pids in sorted(running.items()):
        try:
            states = SupervisorClient(directory).status()
        except SupervisorError:
            table.add_row(str(directory), "?", ",".join(map(str, pids)), "without supervisor")
            healthy = False
            continue
        for name, state in states.items():
            table.add_row(str(directory), name, str(state.pid), state.state)
            healthy &= state.state == "running"
    width = None if sys.stdout.isatty() else 200
    Console(width=width).print(table)
    return 0 if healthy else 1
