"""Where a command that plans takes the nodes from."""

import argparse
from collections.abc import Callable

from llama_operator.cli.nodes_file import read_nodes_file
from llama_operator.errors import InputError
from llama_operator.planning.inventory import Inventory


def add_leader_worker_set_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that tells what a file of nodes does not."""
    parser.add_argument(
        "--leader-worker-set",
        action="store_true",
        help="the cluster of --nodes has LeaderWorkerSet, so that a replica may take several nodes",
    )


def chosen_inventory(
    arguments: argparse.Namespace, read_inventory: Callable[[], Inventory]
) -> Inventory:
    """The inventory of --nodes, or of the current cluster, which tells all of it by itself.

    Raises:
        InputError: the file is wrong, there is no cluster, or the option stands without a file.
    """
    if arguments.nodes:
        return read_nodes_file(arguments.nodes, leader_worker_set=arguments.leader_worker_set)
    if arguments.leader_worker_set:
        msg = "--leader-worker-set is for --nodes; a cluster tells by itself what it has"
        raise InputError(msg)
    return read_inventory()
