"""Lines in which engines tell of their memory, by version: of their log and of their metrics."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, Protocol, cast

from llama_operator.catalog.model_tables import ENGINES
from llama_operator.catalog.tables import Row, columns_of, read_table
from llama_operator.errors import CatalogError
from llama_operator.units import GIB, MIB

UNITS: Final[Mapping[str, int]] = {
    "GiB": GIB,
    "MiB": MIB,
    "bytes": 1,
    "tokens": 1,
    "blocks": 1,
    "seconds": 1000,
}
"""What one of a unit is in bytes, tokens or milliseconds; a block has as many tokens as the line
says, or else as the engine's blocks have."""
BYTE_UNITS: Final = ("GiB", "MiB", "bytes")
PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "weights": BYTE_UNITS,
    "repacked-weights": BYTE_UNITS,
    "weights-and-non-torch": BYTE_UNITS,
    "activation": BYTE_UNITS,
    "non-torch": BYTE_UNITS,
    "cuda-graphs": BYTE_UNITS,
    "output-buffer": BYTE_UNITS,
    "kv-cache": BYTE_UNITS,
    "kv-tokens": ("tokens", "blocks"),
    "load-time": ("seconds",),
}
"""What lines tell, in the order in which it is shown, and the units that they may tell it in."""
KINDS: Final = ("log", "metric")
EVIDENCE: Final = ("captured", "public log", "format")
"""How a line is known: printed by a process of ours, quoted in a public log, or only as the format
string of the version that the source names."""
REPEATED: Final = ("last", "sum")
"""What a second line of the same device does: it takes the place of the first, or adds to it."""
_NUMBER: Final = r"-?[0-9][0-9,]{0,19}(?:\.[0-9]{1,17})?(?:e[-+]?[0-9]{1,2})?"
_TOKENS: Final[Mapping[str, str]] = {
    "<value>": f"(?P<value>{_NUMBER})",
    "<more>": f"(?P<more>{_NUMBER})",
    "<block>": "(?P<block>[0-9]{1,6})",
}
"""What stands for a number in patterns; digits are bounded, so that no number is too long."""
_PATTERN_MEMORY_BYTES: Final = 8 << 20


class Match(Protocol):
    """One place where a pattern matches bytes."""

    def groupdict(self) -> dict[bytes, bytes | None]:
        """What its named groups matched; None for those that did not."""
        ...


class Pattern(Protocol):
    """A regular expression of RE2 for bytes: time in proportion to the text, whatever it is."""

    groupindex: Mapping[bytes, int]

    def finditer(self, text: bytes) -> Iterator[Match]:
        """All places, first to last."""
        ...


@dataclass(frozen=True, slots=True)
class EngineMemoryLine:
    """A line of a range of engine versions that tells of memory.

    Attributes:
        engine: name in the catalog.
        min_version: inclusive; empty for any.
        below_version: exclusive; empty for any.
        kind: of `KINDS`: where it is printed.
        part: of `PARTS`: what it tells.
        unit: of `UNITS`: what its number counts.
        decimals: digits after the point that the engine rounds to; more where it shows more.
        repeated: of `REPEATED`.
        device: in RE2's syntax, what stands before the pattern in the same line where it is there;
            its group `device` tells whose memory it is.
        pattern: in RE2's syntax; `<value>` is the number, `<more>` one that is added to it and
            `<block>` tokens of a block. It may have the group `device` itself.
        example: a line that it matches, without what the engine's logger writes before it; the
            figures are of some model.
        evidence: of `EVIDENCE`.
        source: where this is from.
    """

    engine: str
    min_version: tuple[int, ...]
    below_version: tuple[int, ...]
    kind: str
    part: str
    unit: str
    decimals: int
    repeated: str
    device: str
    pattern: str
    example: str
    evidence: str
    source: str

    def compiled(self) -> Pattern:
        """Device and pattern as one expression, which matches within one line.

        Raises:
            CatalogError: it is no regular expression of RE2, or finds no value.
        """
        return _compiled(f"^(?:.*{self.device})?.*{self.pattern}" if self.device else self.pattern)


@lru_cache(maxsize=64)
def engine_memory_lines(engine: str, version: tuple[int, ...]) -> tuple[EngineMemoryLine, ...]:
    """Lines of an engine version; of several that tell a part, the first one found counts.

    Args:
        engine: name in the catalog.
        version: its leading numbers.
    """
    return tuple(
        row
        for row in read_engine_memory_lines()
        if row.engine == engine
        and row.min_version <= version
        and (not row.below_version or version < row.below_version)
    )


@cache
def read_engine_memory_lines() -> tuple[EngineMemoryLine, ...]:
    """Rows of engine_memory_lines.csv, in the order of the file.

    Raises:
        CatalogError: a cell is wrong.
    """
    return tuple(map(_line, read_table("engine_memory_lines.csv", columns_of(EngineMemoryLine))))


def _line(row: Row) -> EngineMemoryLine:
    part = row.one_of("part", tuple(PARTS))
    found = EngineMemoryLine(
        engine=row.one_of("engine", ENGINES),
        min_version=row.version("min_version"),
        below_version=row.version("below_version"),
        kind=row.one_of("kind", KINDS),
        part=part,
        unit=row.one_of("unit", PARTS[part]),
        decimals=row.integer("decimals", least=0, most=6),
        repeated=row.one_of("repeated", REPEATED),
        device=row.optional_text("device"),
        pattern=row.text("pattern"),
        example=row.text("example"),
        evidence=row.one_of("evidence", EVIDENCE),
        source=row.text("source"),
    )
    try:
        pattern = found.compiled()
    except CatalogError as error:
        raise row.error("pattern", str(error)) from None
    if next(pattern.finditer(found.example.encode()), None) is None:
        raise row.error("example", "the pattern does not match it")
    return found


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Pattern:
    # Imported here: who does not read a log does not need it.
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PATTERN_MEMORY_BYTES
    # Any byte is a character, whatever is in the log.
    options.encoding = re2.Options.Encoding.LATIN1
    for token, group in _TOKENS.items():
        pattern = pattern.replace(token, group)
    try:
        found = cast("Pattern", re2.compile(f"(?m){pattern}".encode(), options))
    except re2.error as error:
        (why,) = error.args
        msg = f"no regular expression of RE2: {why.decode(errors='replace')}"
        raise CatalogError(msg) from None
    if b"value" not in found.groupindex:
        msg = "<value> is missing"
        raise CatalogError(msg)
    return found
