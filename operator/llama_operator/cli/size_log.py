"""`llama-operator size --compare-log`: what an engine said of its memory beside the estimate."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from llama_operator.cli.wrapped import print_wrapped
from llama_operator.engines.memory_lines import TEXT_BYTES_LIMIT, looked_for, read_memory
from llama_operator.errors import InputError
from llama_operator.sizing.comparison import HOST, Compared, compare, computed_parts
from llama_operator.sizing.estimate import Estimate
from llama_operator.sizing.settings import Setting
from llama_operator.units import GIB, MIB

KEYS: Final = {"kv-tokens": "tokens", "load-time": "milliseconds"}
"""What a part is counted in, where it is not bytes."""
BOUND_NOTE: Final = "at most: the sizing has an upper bound of it alone"


def compared(file: str, setting: Setting, found: Estimate) -> tuple[Compared, ...]:
    """What the log in a file says, beside the estimate; `-` is standard input.

    Raises:
        InputError: the file cannot be read, or no line of it tells of memory; says which were
            looked for.
    """
    rules = setting.rules
    engine = rules.engine.removesuffix("-CPU")
    name = f"{engine} {'.'.join(map(str, rules.version))}"
    lines = looked_for(engine, rules.version)
    if not lines:
        msg = f"--compare-log: no line is known in which {engine} tells of its memory"
        raise InputError(msg)
    observed = read_memory(engine, rules.version, _start_of(file))
    if not observed:
        listed = "\n  ".join(lines)
        msg = (
            f"--compare-log {file}: no line of {name} tells of memory; such lines do, whatever "
            f"their figures:\n  {listed}"
        )
        raise InputError(msg)
    return compare(computed_parts(setting, found), observed)


def print_observed(console: Console, found: Sequence[Compared]) -> None:
    """Print a table of every part, or nothing where nothing was compared."""
    if not found:
        return
    console.print("\n[bold]What the engine says[/bold]")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "computed", "observed", "difference", "its rounding"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for item in found:
        computed, difference = item.computed, item.difference
        table.add_row(
            f"  {_name(item)}",
            "" if computed is None else _computed(item.part, computed.value, computed.is_bound),
            _amount(item.part, item.observed),
            "" if difference is None else _amount(item.part, difference, sign="+"),
            _amount(item.part, item.step) if item.step else "exact",
        )
    console.print(table)
    if any(item.computed is not None and item.computed.is_bound for item in found):
        print_wrapped(console, BOUND_NOTE, label="<=")


def observed_object(found: Sequence[Compared]) -> dict[str, Any]:
    """The same as JSON; empty where nothing was compared."""
    if not found:
        return {}
    return {"observed": [_as_object(item) for item in found]}


def _as_object(item: Compared) -> dict[str, Any]:
    computed = item.computed
    return {
        "part": item.part,
        "place": item.place,
        "unit": KEYS.get(item.part, "bytes"),
        "observed": item.observed,
        "rounding": item.step,
        **({} if computed is None else {"computed": computed.value}),
        **({"computed_is_bound": True} if computed is not None and computed.is_bound else {}),
        **({} if computed is None else {"difference": item.difference}),
    }


def _start_of(file: str) -> bytes:
    try:
        if file == "-":
            if sys.stdin is None:
                msg = "--compare-log - reads standard input, which is closed"
                raise InputError(msg)
            return sys.stdin.buffer.read(TEXT_BYTES_LIMIT)
        with Path(file).open("rb") as log:
            return log.read(TEXT_BYTES_LIMIT)
    except OSError as error:
        msg = f"--compare-log {file} cannot be read: {error.strerror}"
        raise InputError(msg) from None


def _name(item: Compared) -> str:
    name = item.part.replace("-", " ").replace("kv", "KV").replace("cuda", "CUDA")
    return f"{name}, node" if item.place == HOST else name


def _computed(part: str, value: int, is_bound: bool) -> str:
    return f"{'<= ' if is_bound else ''}{_amount(part, value)}"


def _amount(part: str, value: int, *, sign: str = "") -> str:
    if part == "kv-tokens":
        return f"{value:{sign},} tokens"
    if part == "load-time":
        return f"{value / 1000:{sign}.3f} s"
    if abs(value) < GIB:
        return f"{value / MIB:{sign}.2f} MiB"
    return f"{value / GIB:{sign}.2f} GiB"
