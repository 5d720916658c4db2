"""`python -m benchmark`: run the scenarios, and make the page from their results."""

import argparse
import sys
import time

from benchmark import scenarios
from benchmark.figures import summary
from benchmark.machine import CHANGED
from benchmark.names import SCENARIOS
from benchmark.page import page
from benchmark.results import PAGE, PUBLISHED, TRIALS, Json, newest, save
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
        save(result, TRIALS)

    result = scenarios.run(QUICK if arguments.quick else FULL, names, tell, keep)
    result["figures"] = summary(result)
    keep(result)
    clean = not result["versions"]["operator"].endswith(CHANGED)
    whole = not arguments.quick and set(names) == set(SCENARIOS) and clean
    path = save(result, PUBLISHED if whole else TRIALS)
    text = page(result, path.name)
    print(text)
    if whole:
        PAGE.write_text(text, encoding="utf-8")
    tell(f"done: {path.relative_to(ROOT)}")
    return 0


def _page(arguments: argparse.Namespace) -> int:
    name, result = newest(TRIALS if arguments.trial else PUBLISHED)
    text = page(result, name)
    if arguments.trial:
        print(text)
        return 0
    PAGE.write_text(text, encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)} shows {name or 'no result yet'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
