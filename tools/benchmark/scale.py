"""How much a run of the benchmark does."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Scale:
    """Sizes of all scenarios.

    Attributes:
        name: full or quick; only full runs are published.
        runs: how often a burst is repeated, each time on a fresh control plane.
        objects: deployments of a burst.
        nodes: simulated nodes of a burst.
        more_nodes: nodes that are added afterwards, before memory is read.
        edits: deployments that are edited, and later deleted, of those of a burst.
        singles: repeats of one deployment on an idle system, after `warm_ups` that do not count.
        warm_ups: discarded repeats.
        drifts: deletions of each kind of child.
        takeovers: how often the leader is killed, and how often it is told to end.
        many_nodes: large nodes that the operator lists at its start.
        node_events: changes of those nodes, of each kind.
        sizings: settings of each model that are sized.
        plans: models of each size that are planned, in each case.
        rows: of one run of `size --jsonl`.
        jsonl_runs: such runs.
        starts: of the command line, for each answer.
    """

    name: str
    runs: int
    objects: int
    nodes: int
    more_nodes: int
    edits: int
    singles: int
    warm_ups: int
    drifts: int
    takeovers: int
    many_nodes: int
    node_events: int
    sizings: int
    plans: int
    rows: int
    jsonl_runs: int
    starts: int


FULL: Final = Scale(
    name="full",
    runs=3,
    objects=1000,
    nodes=600,
    more_nodes=400,
    edits=50,
    singles=30,
    warm_ups=3,
    drifts=20,
    takeovers=3,
    many_nodes=10_000,
    node_events=5000,
    sizings=30,
    plans=20,
    rows=8000,
    jsonl_runs=5,
    starts=20,
)

QUICK: Final = Scale(
    name="quick",
    runs=1,
    objects=60,
    nodes=40,
    more_nodes=20,
    edits=5,
    singles=4,
    warm_ups=1,
    drifts=2,
    takeovers=1,
    many_nodes=600,
    node_events=300,
    sizings=2,
    plans=2,
    rows=500,
    jsonl_runs=1,
    starts=2,
)
