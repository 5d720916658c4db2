"""`llama-operator run`: the operator process."""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich_argparse import RawDescriptionRichHelpFormatter

from llama_operator.cli.image_registry_option import add_image_registry_option, image_registry
from llama_operator.cli.price_tolerance_option import (
    add_price_tolerance_option,
    price_tolerance_percent,
)
from llama_operator.errors import InputError

_DESCRIPTION = """Run the operator against the cluster of the pod it runs in, or of a kubeconfig.

Flags may be set by environment too: LLAMA_OPERATOR_WORKERS=16 is --workers 16. One process leads
by a Lease; a second one stands by and takes over when the first is gone."""

_PREFIX = "LLAMA_OPERATOR_"


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "run",
        help="run the operator",
        description=_DESCRIPTION,
        formatter_class=RawDescriptionRichHelpFormatter,
    )
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="kubeconfig; default: the pod's own identity",
    )
    parser.add_argument(
        "--namespace",
        metavar="NAME",
        help="namespace of the Lease and of catalog rows that hold everywhere; default: the pod's",
    )
    parser.add_argument(
        "--identity", default="", metavar="NAME", help="name in the Lease; default: host and a hash"
    )
    parser.add_argument(
        "--no-leader-election",
        action="store_true",
        help="lead at once, without a Lease; only where no second operator runs",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=8,
        metavar="N",
        help="deployments reconciled at the same time, 1 to 64 (default 8)",
    )
    parser.add_argument(
        "--listen-address",
        default="0.0.0.0",  # noqa: S104 - probes come from the node
        metavar="ADDRESS",
        help="address of health and metrics (default 0.0.0.0)",
    )
    parser.add_argument(
        "--health-port", type=int, default=8080, metavar="PORT", help="0 takes a free one"
    )
    parser.add_argument(
        "--metrics-port", type=int, default=8081, metavar="PORT", help="0 takes a free one"
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="least level that is logged (default info)",
    )
    add_image_registry_option(parser)
    add_price_tolerance_option(parser)
    parser.add_argument(
        "--downloader-image",
        default="",
        metavar="IMAGE",
        help="image of the Jobs that download models to volumes (default: the operator's own)",
    )
    parser.add_argument(
        "--allow-host-path",
        action="store_true",
        help="let spec.cache.hostPath mount folders of nodes into pods",
    )
    parser.add_argument(
        "--rendering",
        choices=("Current", "Rehearsal"),
        default="Current",
        help="Rehearsal renders pods as a later version might, to rehearse an upgrade: what runs "
        "stays as it is until it is asked to move (default Current)",
    )
    parser.add_argument(
        "--clock-offset",
        default="0",
        metavar="SECONDS[@AFTER]",
        help="set the clock wrong by so much, from AFTER seconds after the start on; for "
        "rehearsals only (default 0)",
    )
    _defaults_from_environment(parser)
    parser.set_defaults(func=_run)


def _defaults_from_environment(parser: argparse.ArgumentParser) -> None:
    defaults: dict[str, Any] = {}
    for action in parser._actions:
        value = os.environ.get(_PREFIX + action.dest.upper())
        if value is None or action.dest == "help":
            continue
        if action.nargs == 0:
            defaults[action.dest] = value.lower() in ("1", "true", "yes")
        else:
            defaults[action.dest] = value
    parser.set_defaults(**defaults)


def _run(arguments: argparse.Namespace) -> int:
    # Imported here: the other commands need neither kopf nor a connection.
    from llama_operator.controller.clock import ClockOffset
    from llama_operator.controller.process import run
    from llama_operator.controller.settings import Settings
    from llama_operator.render.rendering import RENDERINGS

    for flag, value, low, high in (
        ("--workers", arguments.workers, 1, 64),
        ("--health-port", arguments.health_port, 0, 65535),
        ("--metrics-port", arguments.metrics_port, 0, 65535),
    ):
        if not low <= value <= high:
            msg = f"{flag} is {value}; allowed is {low} to {high}"
            raise InputError(msg)
    if arguments.rendering not in RENDERINGS:
        msg = f"--rendering is {arguments.rendering}; allowed is {', '.join(RENDERINGS)}"
        raise InputError(msg)
    rendering = RENDERINGS[arguments.rendering]
    if arguments.downloader_image:
        rendering = replace(rendering, downloader_image=arguments.downloader_image)
    return run(
        Settings(
            kubeconfig=arguments.kubeconfig,
            namespace=arguments.namespace,
            identity=arguments.identity,
            leader_election=not arguments.no_leader_election,
            workers=arguments.workers,
            listen_address=arguments.listen_address,
            health_port=arguments.health_port,
            metrics_port=arguments.metrics_port,
            log_level=arguments.log_level,
            image_registry=image_registry(arguments),
            price_tolerance_percent=price_tolerance_percent(arguments),
            rendering=rendering,
            allow_host_path=arguments.allow_host_path,
            clock_offset=ClockOffset.parse(arguments.clock_offset),
        )
    )
