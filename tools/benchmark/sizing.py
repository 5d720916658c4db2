"""Scenario `sizing`: how long sizing, planning and the command line take. No control plane."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmark import asked
from benchmark.results import TRIALS
from benchmark.scale import Scale
from llama_operator.catalog.catalog import Catalog
from llama_operator.planning.inventory import Inventory
from llama_operator.planning.outcome import Outcome, Planned, Refusal
from llama_operator.planning.plan import plan
from llama_operator.sizing.estimate import estimate
from llama_operator.sizing.models.shape import model_shape
from llama_operator.sizing.nearest import nearest
from llama_operator.sizing.scheme_names import scheme_for
from llama_operator.sizing.serving import Serving
from workstation.install import ROOT

Json = dict[str, Any]

COMMAND: Final = Path(sys.executable).with_name("llama-operator")
STARTED: Final = {
    "fits": ("--max-model-len", "8192"),
    "does not fit": (),
}
"""Further arguments of the command whose start is measured, by what it answers."""


def sizing(scale: Scale) -> Json:
    """Measure; samples of calls in ms.

    `known_ms` is of a model that this process sized before, with other values than then; `new_ms`
    of one that it never saw, while it has seen others.
    """
    return {
        "one": _one(scale),
        "first_fit": _first_fits(scale),
        "alternatives": [_nearest(scale), *_refusals(scale)],
        "jsonl": [_jsonl(scale) for _ in range(scale.jsonl_runs)],
        "start": {name: _starts(scale, arguments) for name, arguments in STARTED.items()},
    }


def _one(scale: Scale) -> Json:
    """Estimates of settings; the first of a model with reading its configuration."""

    def first(config: Json) -> None:
        shape = model_shape(config)
        for serving in asked.servings((shape,), 1):
            estimate(serving.setting())

    new = [_ms(partial(first, config)) for config in asked.configs()]
    shapes = tuple(model_shape(config) for config in asked.configs())
    # Both schemes and all cards come before what counts.
    for serving in asked.servings(shapes, len(asked.CARDS) * 2):
        estimate(serving.setting())
    counted = asked.servings(shapes, scale.sizings, first=len(asked.CARDS) * 2)
    known = [_ms(partial(estimate, serving.setting())) for serving in counted]
    return {"what": f"one of {len(shapes)} models", "known_ms": known, "new_ms": new}


def _first_fits(scale: Scale) -> list[Json]:
    """Plans over all products, format Auto."""
    catalog, cluster = _prepared(scale.plans)
    found = []
    for size in asked.SIZES:
        entry: Json = {"what": size, "known_ms": [], "new_ms": []}
        for number in range(scale.plans):
            name = asked.made_name(number)
            _expect(_planned(entry["new_ms"], catalog, cluster, name, size, {}), Planned)
            again = _planned(
                entry["known_ms"], catalog, cluster, name, size, {}, length=8192 + 16 * number
            )
            _expect(again, Planned)
        found.append(entry)
    return found


def _refusals(scale: Scale) -> list[Json]:
    """Plans that end in a refusal with alternatives."""
    catalog, cluster = _prepared(scale.plans * len(asked.REFUSED))
    found = []
    for case, (words, fields) in enumerate(asked.REFUSED.items()):
        for size in asked.SIZES:
            entry: Json = {"what": f"planning {size} {words}", "known_ms": [], "new_ms": []}
            for number in range(case * scale.plans, (case + 1) * scale.plans):
                name = asked.made_name(number)
                first = _planned(entry["new_ms"], catalog, cluster, name, size, fields)
                _expect(first, Refusal)
                length = fields["context"]["maxModelLen"] - 16 * (number + 1)
                again = _planned(entry["known_ms"], catalog, cluster, name, size, fields, length)
                _expect(again, Refusal)
            found.append(entry)
    return found


def _nearest(scale: Scale) -> Json:
    """What fits instead of settings that do not."""
    gpus = Catalog.load().tables.gpus
    schemes = tuple(((("--quantization", name),), scheme_for(name)) for name in asked.SCHEMES)
    entry: Json = {"what": "", "known_ms": [], "new_ms": []}

    def add(key: str, serving: Serving) -> None:
        entry[key].append(_ms(lambda: nearest(serving, schemes=schemes, gpus=gpus)))

    for config in asked.configs():
        if estimate(asked.unfit(model_shape(config), 0).setting()).fits:
            continue
        shape = model_shape(config)
        add("new_ms", asked.unfit(shape, 0))
        for number in range(1, scale.plans + 1):
            add("known_ms", asked.unfit(shape, number))
    entry["what"] = f"sizing one of {len(entry['new_ms'])} models on a {asked.SMALL_CARD}"
    return entry


def _prepared(made: int) -> tuple[Catalog, Inventory]:
    """A catalog with made models and a cluster, both used once."""
    catalog, cluster = asked.made_catalog(made), asked.cluster()
    plan(asked.spec(asked.FAMILY, asked.SIZES[0], {}), catalog, cluster)
    return catalog, cluster


def _planned(
    samples: list[float],
    catalog: Catalog,
    cluster: Inventory,
    name: str,
    size: str,
    fields: Any,  # noqa: ANN401 - of a spec
    length: int = 0,
) -> Outcome:
    wanted = asked.spec(name, size, fields, length)
    outcomes: list[Outcome] = []
    samples.append(_ms(lambda: outcomes.append(plan(wanted, catalog, cluster))))
    return outcomes[0]


def _expect(outcome: Outcome, kind: type[Planned] | type[Refusal]) -> None:
    if not isinstance(outcome, kind):
        msg = f"not {kind.__name__}: {outcome}"
        raise TypeError(msg)


def _jsonl(scale: Scale) -> Json:
    """Rows through a process by pipes, written and read at the same time."""
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in asked.rows(scale.rows))
    started = time.perf_counter()
    process = subprocess.Popen(
        [COMMAND, "size", "--jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=_environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin as into, process.stdout as out:
        writer = threading.Thread(target=lambda: (into.write(lines), into.close()))
        writer.start()
        out.readline()
        first = time.perf_counter()
        answers = 1 + sum(1 for _ in out)
        writer.join()
    if process.wait() != 0 or answers != scale.rows:
        msg = f"{answers} answers to {scale.rows} rows, exit status {process.returncode}"
        raise RuntimeError(msg)
    ended = time.perf_counter()
    return {
        "rows": answers,
        "seconds": round(ended - started, 4),
        "seconds_after_first": round(ended - first, 4),
    }


def _starts(scale: Scale, arguments: Sequence[str]) -> list[float]:
    """Seconds of the whole command; the first, which compiles modules, does not count."""
    command = [str(COMMAND), "size", asked.FAMILY, "8b", "--gpu", "NVIDIA-A10G", *arguments]
    seconds = []
    for _ in range(scale.starts + 1):
        started = time.perf_counter()
        done = subprocess.run(
            command, capture_output=True, cwd=ROOT, env=_environment(), check=False
        )
        seconds.append(round(time.perf_counter() - started, 4))
        if done.returncode not in (0, 3) or not done.stdout:
            raise RuntimeError(done.stderr.decode())
    return seconds[1:]


def _environment() -> dict[str, str]:
    """That of this process, with modules compiled once, as they are where they are installed."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(TRIALS / "compiled")}


def _ms(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return round((time.perf_counter() - started) * 1000, 4)
