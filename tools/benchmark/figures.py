"""From samples to figures, and from figures to verdicts. Pure."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.names import BARE, CONTROLLERS, OPERATED, QUIET

Json = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """A figure with the bound that was set for it beforehand.

    Attributes:
        key: short name, unique; the page of promises knows it.
        scenario: name of the scenario.
        what: the figure in words.
        bound: what it is to be at most, or at least where `at_least` is true.
        figure: what was measured.
        unit: of both; empty for ratios and counts.
        at_least: whether more is better.
    """

    key: str
    scenario: str
    what: str
    bound: float
    figure: float
    unit: str = ""
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure keeps the bound."""
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound

    @property
    def words(self) -> str:
        """The bound in words, without its unit."""
        return f"at {'least' if self.at_least else 'most'} {self.bound:g}"


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def median(values: Iterable[float]) -> float:
    """The median."""
    return statistics.median(values)


def single_samples(result: Json, side: str, key: str) -> list[float]:
    """One figure of every repeat of scenario `single`, in ms."""
    return [sample[key] for sample in result["scenarios"]["single"][side]["samples"]]


def bursts(result: Json, side: str, mode: str) -> list[Json]:
    """The bursts of a kind."""
    return [
        burst
        for burst in result["scenarios"]["burst"]
        if (burst["side"], burst["mode"]) == (side, mode)
    ]


def rate(result: Json, side: str, mode: str) -> float:
    """Deployments a second, the median of the bursts of a kind."""
    return median(burst["rate"] for burst in bursts(result, side, mode))


def event_ms(entry: Json) -> float:
    """CPU time for one event of a node, without what is used at rest, in ms."""
    rest = entry["rest_cpu_per_second"] * entry["seconds"]
    return float(max(0.0, entry["cpu"] - rest) / entry["events"] * 1000)


def per_object(costs: Sequence[Json], key: str, scale: float = 1.0) -> list[float]:
    """A figure of every run divided by its deployments."""
    return [cost[key] / cost["objects"] * scale for cost in costs]


def requests_per_object(entries: Sequence[Json], count: str = "total") -> list[float]:
    """Requests of every run divided by its deployments."""
    return [entry["requests"][count] / entry["objects"] for entry in entries]


def kind_per_object(entries: Sequence[Json], kind: str) -> list[float]:
    """Requests of one verb and resource of every run divided by its deployments."""
    return [entry["requests"]["by_kind"].get(kind, 0) / entry["objects"] for entry in entries]


def rows_per_second(run: Json) -> float:
    """Rows of one run of `size --jsonl`, its start included, a second."""
    return float(run["rows"] / run["seconds"])


def targets(result: Json) -> tuple[Target, ...]:
    """All figures that have a bound, of the scenarios that were run."""
    found = result["scenarios"]
    made: list[Target] = []
    for name, of in (
        ("single", _single),
        ("burst", _burst),
        ("cost", _cost),
        ("memory", _memory),
        ("restart", _restart),
        ("drift", _drift),
        ("takeover", _takeover),
        ("sizing", _sizing),
    ):
        if name in found:
            made.extend(of(result))
    return tuple(made)


def summary(result: Json) -> Json:
    """The figures by their keys, as result files hold them for who reads no samples."""
    return {
        target.key: {
            "value": round(target.figure, 4),
            "unit": target.unit,
            "target": f"{target.words} {target.unit}".rstrip(),
            "met": target.met,
        }
        for target in targets(result)
    }


def _single(result: Json) -> list[Target]:
    operator = median(single_samples(result, OPERATED, "children_ms"))
    bare = median(single_samples(result, BARE, "applied_ms"))
    what = "create to children seen, divided by the bare client's five writes (medians)"
    return [Target("single-ratio", "single", what, 1.5, operator / bare)]


def _burst(result: Json) -> list[Target]:
    bounds = {CONTROLLERS: (0.75, "controllers at work"), QUIET: (0.5, "controllers stopped")}
    return [
        Target(
            f"burst-{mode}-ratio",
            "burst",
            f"rate divided by the bare client's, {words} (medians)",
            bound,
            rate(result, OPERATED, mode) / rate(result, BARE, mode),
            at_least=True,
        )
        for mode, (bound, words) in bounds.items()
    ]


def _cost(result: Json) -> list[Target]:
    costs = result["scenarios"]["cost"]
    edits = [edit for cost in costs for edit in cost["edits"]]
    deletions = [cost["deletions"] for cost in costs]
    rest = [float(cost["rest"]["requests"]["total"]) for cost in costs]
    return [
        Target(
            "cpu-per-deployment",
            "cost",
            "CPU time for a deployment until it is Ready (median)",
            13,
            median(per_object(costs, "cpu_until_ready", 1000)),
            "ms",
        ),
        Target(
            "requests-until-children",
            "cost",
            "requests for a deployment until its children exist (worst run)",
            6,
            max(requests_per_object(costs, "until_children")),
        ),
        Target(
            "requests-until-ready",
            "cost",
            "requests for a deployment until it is Ready (worst run)",
            7,
            max(requests_per_object(costs)),
        ),
        Target(
            "requests-until-applied",
            "cost",
            "requests for an edit that is planned anew until it is applied and told (worst round)",
            4,
            max(requests_per_object(edits, "until_children")),
        ),
        Target(
            "requests-per-edit",
            "cost",
            "requests for such an edit with all statuses of its rollout (worst round)",
            4,
            max(requests_per_object(edits)),
        ),
        Target(
            "requests-per-deletion",
            "cost",
            "requests for a deletion (worst run)",
            0,
            max(requests_per_object(deletions)),
        ),
        Target(
            "requests-at-rest",
            "cost",
            "requests in 10 s at rest, its Lease apart (worst run)",
            0,
            max(rest),
        ),
    ]


def _memory(result: Json) -> list[Target]:
    crowds = result["scenarios"]["memory"]["crowds"]
    many = result["scenarios"]["memory"]["many_nodes"]
    size = f"{crowds[0]['objects']:,} deployments and {crowds[0]['nodes']:,} nodes"
    nodes = f"{many['nodes']:,} nodes of {many['node_bytes'] / 1000:.0f} kB"
    return [
        Target(
            "memory-at-rest",
            "memory",
            f"resident with {size} (worst run)",
            145,
            max(crowd["settled"]["rss"] for crowd in crowds),
            "MiB",
        ),
        Target(
            "memory-highest",
            "memory",
            f"resident at its highest with {size} (worst run)",
            145,
            max(crowd["settled"]["high"] for crowd in crowds),
            "MiB",
        ),
        Target(
            "node-list", "memory", f"first list of {nodes}", 5, many["first_list"]["seconds"], "s"
        ),
        Target(
            "node-event-cpu",
            "memory",
            "CPU time for a heartbeat or a changed label of a node (worse of both)",
            0.2,
            max(event_ms(entry) for entry in many["events"]),
            "ms",
        ),
        Target(
            "node-memory",
            "memory",
            f"resident with {nodes}, above none",
            40,
            many["settled"]["rss"] - many["base"]["rss"],
            "MiB",
        ),
    ]


def _restart(result: Json) -> list[Target]:
    same = [one["reacted"] for one in result["scenarios"]["restart"] if one["identity"] == "same"]
    what = "start after SIGKILL to the first reaction, same identity (worst run)"
    return [Target("restart-same-identity", "restart", what, 10, max(same), "s")]


def _drift(result: Json) -> list[Target]:
    samples = [ms for kind in result["scenarios"]["drift"].values() for ms in kind]
    what = "deletion of a child until it is there again (99th percentile of all kinds)"
    return [Target("drift-p99", "drift", what, 2, percentile(samples, 99) / 1000, "s")]


def _takeover(result: Json) -> list[Target]:
    found = result["scenarios"]["takeover"]
    return [
        Target(
            f"takeover-{signal.lower()}",
            "takeover",
            f"{signal} of the leader to the standby's first deed (worst)",
            bound,
            max(found[signal]),
            "s",
        )
        for signal, bound in (("SIGKILL", 20), ("SIGTERM", 3))
    ]


def _sizing(result: Json) -> list[Target]:
    found = result["scenarios"]["sizing"]
    made = []
    for key, entries, what, bound in (
        ("size-one", [found["one"]], "one sizing", 0.5),
        ("size-first-fit", found["first_fit"], "first fit over 20 GPU types", 5),
        ("size-alternatives", found["alternatives"], "all alternatives", 50),
    ):
        worst = "worst median" if len(entries) > 1 else "median"
        for suffix, samples, model in (("", "known_ms", "known"), ("-new", "new_ms", "new")):
            figure = max(median(entry[samples]) for entry in entries)
            words = f"{what} of a {model} model ({worst})"
            made.append(Target(f"{key}{suffix}", "sizing", words, bound, figure, "ms"))
    rate = median(map(rows_per_second, found["jsonl"]))
    starts = max(median(seconds) for seconds in found["start"].values())
    return [
        *made,
        Target(
            "size-jsonl",
            "sizing",
            "rows of `size --jsonl` a second, its start included (median)",
            2000,
            rate,
            at_least=True,
        ),
        Target(
            "size-cli-start",
            "sizing",
            "start of `size` to the end of its answer (worst median)",
            0.4,
            starts,
            "s",
        ),
    ]
