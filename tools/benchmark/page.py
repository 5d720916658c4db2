"""The page of the benchmark, from results. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import jinja2

from benchmark import figures
from benchmark.figures import Json, median, percentile
from benchmark.names import BARE, CONTROLLERS, OPERATED, QUIET, SCENARIOS, WORKERS
from benchmark.results import Run

Row = tuple[str, ...]

_TEMPLATE: Final = Path(__file__).with_name("page.md.j2")
_SIDES: Final = {OPERATED: "operator", BARE: "bare client"}
_MODES: Final = {CONTROLLERS: "at work", QUIET: "stopped"}
_IDENTITIES: Final = {
    "same": "the same: has its Lease again at once",
    "new": "a new one: waits until the Lease of 15 s expires",
}
_EARLIER: Final = (
    ("bare client", "26", "130 to 161", "11 ms", ""),
    ("bare kopf loop without planning", "20", "88", "19 ms", ""),
    ("LLMKube, a Go operator of the same kind", "8.5", "40", "11.5 ms", "22 ms, 148 MiB"),
)


def page(runs: Sequence[Run]) -> str:
    """The page as Markdown.

    Args:
        runs: names of files and their results; no two have a scenario in common. Scenarios that
            none has are left out of the page.
    """
    shown = {name: result for _, result in runs for name in result["scenarios"]}
    values: Json = {
        "files": [name for name, _ in runs],
        "small": any(result["scale"]["name"] != "full" for _, result in runs),
        "scenarios": shown,
        "workers": WORKERS,
        "earlier": _EARLIER,
    }
    if runs:
        values |= _values(shown)
        values["machine"] = list(_machines([result for _, result in runs]))
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown of our own figures
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    environment.globals["table"] = table
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(values).rstrip() + "\n"


def _values(shown: Mapping[str, Json]) -> Json:
    """What the template needs of the results, by the names of their scenarios."""
    found = {name: result["scenarios"][name] for name, result in shown.items()}
    targets = figures.targets({"scenarios": found})
    met = sum(target.met for target in targets)
    values: Json = {
        "targets": targets,
        "met": met,
        "missed": len(targets) - met,
        "verdicts": [_verdict(target) for target in targets],
    }
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
        if name in shown:
            values |= of(shown[name])
    return values


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def number(value: float) -> str:
    """A figure with three digits that count."""
    if value == int(value) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(values: Iterable[float]) -> str:
    """Median and range of some runs."""
    ordered = sorted(values)
    middle = number(median(ordered))
    if ordered[0] == ordered[-1]:
        return middle
    return f"{middle} ({number(ordered[0])} to {number(ordered[-1])})"


def _verdict(target: figures.Target) -> Row:
    sign = "≥" if target.at_least else "≤"
    return (
        f"[{target.scenario}](#{target.scenario})",
        target.what,
        f"{sign} {number(target.bound)} {target.unit}".rstrip(),
        f"{number(target.figure)} {target.unit}".rstrip(),
        "met" if target.met else "**missed**",
    )


def _machines(results: Sequence[Json]) -> Iterator[Row]:
    """What the runs were made on and with, a column for each."""
    rows = [_machine(result) for result in results]
    for cells in zip(*rows, strict=True):
        yield (cells[0][0], *(text for _, text in cells))


def _machine(result: Json) -> list[tuple[str, str]]:
    machine, versions = result["machine"], result["versions"]
    when = result["started"][:16].replace("T", " ")
    system = machine.get("etcd_file_system")
    return [
        ("scenarios", ", ".join(name for name in SCENARIOS if name in result["scenarios"])),
        ("CPU", f"{machine['cpu']}, {machine['cores']} cores for everything together"),
        ("memory", f"{machine['memory_gib']} GiB"),
        ("kernel", f"Linux {machine['kernel']}"),
        ("etcd", f"data on {system}, without fsync" if system else "none"),
        ("load of the machine before", f"{machine['load_before']}"),
        ("Kubernetes", versions["kubernetes"] if system else "none"),
        ("operator", f"commit {versions['operator']}"),
        ("Python", versions["python"]),
        *((name, versions[name]) for name in ("kopf", "aiohttp", "pydantic")),
        ("date", f"{when} UTC, {_duration(result['seconds'])}"),
    ]


def _duration(seconds: int) -> str:
    return f"{seconds // 60} minutes" if seconds >= 120 else f"{seconds} seconds"


def _single(result: Json) -> Json:
    rows = []
    for side, key, what in (
        (OPERATED, "children_ms", "create sent to StatefulSet and both Services seen"),
        (OPERATED, "status_ms", "create sent to status seen"),
        (OPERATED, "ready_ms", "create sent to Ready seen"),
        (BARE, "applied_ms", "its five writes alone, one after another"),
        (BARE, "children_ms", "create sent to StatefulSet and both Services seen"),
        (BARE, "status_ms", "create sent to status seen"),
    ):
        values = figures.single_samples(result, side, key)
        cells = (number(percentile(values, percent)) for percent in (25, 50, 75, 99))
        rows.append((_SIDES[side], what, *cells))
    creates = figures.single_samples(result, OPERATED, "create_ms")
    return {"single": rows, "singles": len(creates), "create_ms": number(median(creates))}


def _burst(result: Json) -> Json:
    rows = []
    for mode, words in _MODES.items():
        for side, name in _SIDES.items():
            bursts = figures.bursts(result, side, mode)
            waits = [ms / 1000 for burst in bursts for ms in burst["children_ms"]]
            ready = [burst["ready"] for burst in bursts if "ready" in burst]
            rows.append(
                (
                    words,
                    name,
                    spread(burst["rate"] for burst in bursts),
                    f"{number(percentile(waits, 50))} / {number(percentile(waits, 99))}",
                    spread(ready) if ready else "",
                    spread(figures.per_object(bursts, "cpu_until_children", 1000)),
                )
            )
    scale = result["scale"]
    return {
        "burst": rows,
        "burst_objects": number(scale["objects"]),
        "burst_nodes": number(scale["nodes"]),
        "burst_runs": scale["runs"],
    }


def _cost(result: Json) -> Json:
    costs = result["scenarios"]["cost"]
    first, second = ([cost["edits"][number] for cost in costs] for number in (0, 1))
    deletions = [cost["deletions"] for cost in costs]
    rows = [
        (
            what,
            spread(figures.per_object(entries, cpu, 1000)),
            spread(figures.requests_per_object(entries, count)),
        )
        for what, entries, cpu, count in (
            ("create, until the children exist", costs, "cpu_until_children", "until_children"),
            ("create, until Ready", costs, "cpu_until_ready", "total"),
            ("first edit that is planned anew", first, "cpu", "total"),
            ("second edit", second, "cpu", "total"),
            ("deletion", deletions, "cpu", "total"),
        )
    ]
    columns = (costs, first, second, deletions)
    kinds = {kind for entries in columns for one in entries for kind in one["requests"]["by_kind"]}
    breakdown = [
        (f"`{kind}`", *(spread(figures.kind_per_object(entries, kind)) for entries in columns))
        for kind in sorted(kinds)
    ]
    rest = [cost["rest"]["cpu"] / cost["rest"]["seconds"] * 1000 for cost in costs]
    return {"cost": rows, "requests": breakdown, "rest_ms": spread(rest)}


def _memory(result: Json) -> Json:
    crowds = result["scenarios"]["memory"]["crowds"]
    many = result["scenarios"]["memory"]["many_nodes"]
    objects, nodes = number(crowds[0]["objects"]), number(crowds[0]["nodes"])
    rows = [
        (
            what,
            spread(crowd[key]["rss"] for crowd in crowds),
            spread(crowd[key]["high"] for crowd in crowds),
        )
        for what, key in (
            (
                f"{objects} deployments, {number(result['scale']['nodes'])} nodes, after the burst",
                "after_burst",
            ),
            (f"{objects} deployments, {nodes} nodes, at rest", "settled"),
        )
    ]
    large = f"{number(many['nodes'])} nodes of {many['node_bytes'] / 1000:.0f} kB"
    rows += [
        (what, number(many[key]["rss"]), number(many[key]["high"]))
        for what, key in (
            ("nothing in the cluster", "base"),
            (f"{large}, listed", "settled"),
            (f"{large}, after their changes", "after_events"),
        )
    ]
    return {
        "memory": rows,
        "many_nodes": number(many["nodes"]),
        "list_seconds": number(many["first_list"]["seconds"]),
        "list_cpu": number(many["first_list"]["cpu"]),
        "node_events": [
            (entry["kind"], number(entry["events"]), number(figures.event_ms(entry)))
            for entry in many["events"]
        ],
    }


def _restart(result: Json) -> Json:
    rows = []
    for identity, words in _IDENTITIES.items():
        runs = [one for one in result["scenarios"]["restart"] if one["identity"] == identity]
        cells = (
            [run["reacted"] for run in runs],
            [run["cpu"] for run in runs],
            [run["memory"]["rss"] for run in runs],
            [run["memory"]["high"] for run in runs],
        )
        rows.append((words, *(spread(values) for values in cells)))
    return {"restart": rows, "restart_objects": number(result["scale"]["objects"])}


def _drift(result: Json) -> Json:
    rows = [
        (
            kind,
            number(len(values)),
            *(number(percentile(values, percent)) for percent in (50, 99, 100)),
        )
        for kind, values in result["scenarios"]["drift"].items()
    ]
    return {"drift": rows}


def _takeover(result: Json) -> Json:
    rows = [
        (signal, number(len(values)), spread(values))
        for signal, values in result["scenarios"]["takeover"].items()
    ]
    return {"takeover": rows}


def _sizing(result: Json) -> Json:
    found = result["scenarios"]["sizing"]
    calls = [
        (
            what,
            entry["what"],
            *(
                f"{number(percentile(entry[key], 50))} / {number(percentile(entry[key], 99))}"
                for key in ("known_ms", "new_ms")
            ),
            " / ".join(number(len(entry[key])) for key in ("known_ms", "new_ms")),
        )
        for what, entries in (
            ("one sizing", [found["one"]]),
            ("first fit", found["first_fit"]),
            ("all alternatives", found["alternatives"]),
        )
        for entry in entries
    ]
    starts = [
        (f"`size`, {name}", spread(seconds), number(len(seconds)))
        for name, seconds in found["start"].items()
    ]
    runs = found["jsonl"]
    return {
        "calls": calls,
        "starts": starts,
        "jsonl_rows": number(runs[0]["rows"]),
        "jsonl_runs": number(len(runs)),
        "jsonl_rate": spread(map(figures.rows_per_second, runs)),
        "jsonl_rate_after_first": spread(
            (run["rows"] - 1) / run["seconds_after_first"] for run in runs
        ),
    }
