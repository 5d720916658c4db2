"""What an engine tells of its memory when it starts, read from its log or its metrics."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from typing import Final

from llama_operator.catalog.engine_memory import engine_memory
from llama_operator.catalog.engine_memory_lines import (
    PARTS,
    UNITS,
    EngineMemoryLine,
    Match,
    engine_memory_lines,
)

TEXT_BYTES_LIMIT: Final = 1 << 20
"""What is read of a log: engines tell of their memory when they start."""
HOST_SUFFIX: Final = "_Host"
HOST_PREFIX: Final = "CPU"
"""llama.cpp's names of buffers in host memory: `CPU`, `CPU_Mapped`, `CUDA_Host`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one device holds of a part, as the engine says.

    Attributes:
        device: the engine's name of it: `CUDA0`, `TP1`, `Worker_TP1 pid=42`; empty for the only
            one.
        value: bytes, tokens or milliseconds, rounded to whole ones.
        step: what the engine rounds to, in the same unit; 0 for whole numbers that are exact.
    """

    device: str
    value: int
    step: int

    @property
    def is_host(self) -> bool:
        """Whether it is memory of the node."""
        return self.device.startswith(HOST_PREFIX) or self.device.endswith(HOST_SUFFIX)


@dataclass(frozen=True, slots=True)
class ObservedPart:
    """What an engine says of one part of its memory, by device."""

    part: str
    readings: tuple[Reading, ...]

    def fullest(self) -> Reading | None:
        """The GPU that holds most of it, for tokens the one with the fewest; None without a GPU."""
        chosen = min if self.part == "kv-tokens" else max
        return chosen(
            (reading for reading in self.readings if not reading.is_host),
            key=lambda reading: reading.value,
            default=None,
        )

    def host(self) -> Reading | None:
        """All buffers in host memory together; None where there are none."""
        found = [reading for reading in self.readings if reading.is_host]
        if not found:
            return None
        return Reading(
            HOST_PREFIX,
            sum(reading.value for reading in found),
            sum(reading.step for reading in found),
        )


def read_memory(
    engine: str, version: tuple[int, ...], text: str | bytes
) -> tuple[ObservedPart, ...]:
    """What an engine version tells in a text; empty when it tells nothing.

    Takes time in proportion to the text, whatever is in it.

    Args:
        engine: name in the catalog.
        version: its leading numbers.
        text: of its log or its metrics, from the start; the first `TEXT_BYTES_LIMIT` bytes count.

    Returns:
        Parts in the order of `catalog.engine_memory_lines.PARTS`, each from the first row of the
        table that matches anything.
    """
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    raw = raw[:TEXT_BYTES_LIMIT]
    block_tokens = engine_memory(engine, version).block_tokens
    found: dict[str, ObservedPart] = {}
    for line in engine_memory_lines(engine, version):
        if line.part not in found:
            readings = _readings(line, raw, block_tokens)
            if readings:
                found[line.part] = ObservedPart(line.part, readings)
    return tuple(found[part] for part in PARTS if part in found)


def looked_for(engine: str, version: tuple[int, ...]) -> tuple[str, ...]:
    """An example of each line of an engine version, e.g. `Available KV cache memory: 58.11 GiB`.

    Args:
        engine: name in the catalog.
        version: its leading numbers.
    """
    return tuple(dict.fromkeys(line.example for line in engine_memory_lines(engine, version)))


def _readings(line: EngineMemoryLine, raw: bytes, block_tokens: int) -> tuple[Reading, ...]:
    """By device, in the order of the text."""
    found: dict[str, Reading] = {}
    for match in line.compiled().finditer(raw):
        reading = _reading(line, match, block_tokens)
        before = found.get(reading.device)
        if before is not None and line.repeated == "sum":
            reading = Reading(
                reading.device, before.value + reading.value, before.step + reading.step
            )
        found[reading.device] = reading
    return tuple(found.values())


def _reading(line: EngineMemoryLine, match: Match, block_tokens: int) -> Reading:
    groups = {
        name.decode(): text.decode("ascii", "replace")
        for name, text in match.groupdict().items()
        if text is not None
    }
    unit = Decimal(UNITS[line.unit])
    if line.unit == "blocks":
        unit *= int(groups.get("block", block_tokens))
    texts = [groups["value"], *([groups["more"]] if "more" in groups else [])]
    numbers = [Decimal(text.replace(",", "")) for text in texts]
    value = sum(numbers, Decimal()) * unit
    digits = max((line.decimals, *map(_digits, numbers)))
    step = unit.scaleb(-digits) * len(numbers) if digits else Decimal()
    return Reading(
        groups.get("device", ""),
        int(value.to_integral_value(ROUND_HALF_EVEN)),
        int(step.to_integral_value(ROUND_CEILING)),
    )


def _digits(number: Decimal) -> int:
    """Digits after the point that are shown."""
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
