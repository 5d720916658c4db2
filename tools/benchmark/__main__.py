"""`python -m benchmark`: run the scenarios, and make the page from their results."""

import argparse
import sys
import time

from benchmark import scenarios
from benchmark.figures import summary
from benchmark.machine import CHANGED
from benchmark.names import SCENARIOS
from benchmark.page import page
from benchmark.results import PAGE, PUBLISHED, TRIALS, Json, newest_of_each, runs, save
from benchmark.scale import FULL, QUICK
from workstation.install import ROOT


def main() -> int:
    """Parse the command line and do what it asks; returns the exit status."""
    parser = argparse.ArgumentParser(prog="benchmark", description=__doc__)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="measure")
    run.add_argument("--quick", action="store_true", help="the same in small, for trying out")
    run.add_argument(
        "--scenarios",
        default=" ".join(SCENARIOS),
        metavar="NAMES",
        help=f"some of: {' '.join(SCENARIOS)}",
    )
    run.set_defaults(func=_run)
    show = commands.add_parser("page", help=f"write {PAGE.relative_to(ROOT)}")
    show.add_argument(
        "--trial", action="store_true", help="print that of the newest unpublished result instead"
    )
    show.set_defaults(func=_page)
    arguments = parser.parse_args()
    status: int = arguments.func(arguments)
    return status


def _run(arguments: argparse.Namespace) -> int:
    names = arguments.scenarios.replace(",", " ").split()
    unknown = sorted(set(names) - set(SCENARIOS))
    if unknown or not names:
        print(f"no scenario {' '.join(unknown)}; there are {' '.join(SCENARIOS)}")
        return 2
    started = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {text}", file=sys.stderr, flush=True)

    def keep(result: Json) -> None:
        save(result, TRIALS, names)

    result = scenarios.run(QUICK if arguments.quick else FULL, names, tell, keep)
    result["figures"] = summary(result)
    keep(result)
    clean = not result["versions"]["operator"].endswith(CHANGED)
    published = not arguments.quick and clean
    path = save(result, PUBLISHED if published else TRIALS, names)
    print(page([(path.name, result)]))
    if published:
        _write_page()
    tell(f"done: {path.relative_to(ROOT)}")
    return 0


def _page(arguments: argparse.Namespace) -> int:
    if arguments.trial:
        print(page(runs(TRIALS)[:1]))
    else:
        _write_page()
    return 0


def _write_page() -> None:
    shown = newest_of_each(runs(PUBLISHED))
    PAGE.write_text(page(shown), encoding="utf-8")
    names = ", ".join(name for name, _ in shown)
    print(f"{PAGE.relative_to(ROOT)} shows {names or 'no result yet'}")


if __name__ == "__main__":
    sys.exit(main())
