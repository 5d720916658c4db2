"""The form of a capture: one entry per option, as argparse takes it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

STORE = "_StoreAction"
STORE_TRUE = "_StoreTrueAction"
SWITCH = "BooleanOptionalAction"
"""A pair of names: the first turns on, the one that begins with --no- off."""


@dataclass(frozen=True)
class Flag:
    """One option; a positional argument has one name without dashes."""

    flags: list[str]
    action: str = STORE
    """The name of argparse's class, or of the engine's own."""
    type: str = "None"
    """The name of the function that takes the text; None is text as it is."""
    nargs: str | int | None = None
    choices: list[Any] | None = None
    default: Any = None
    required: bool = False


@dataclass(frozen=True)
class CommandLine:
    """The options of one engine at one version."""

    engine: str
    version: str
    allow_abbrev: bool
    """Whether the engine takes a name cut short; our own arguments never are."""
    flags: Sequence[Flag]

    def text(self) -> str:
        """The file."""
        body = {**asdict(self), "flags": [asdict(flag) for flag in self.flags]}
        return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


def with_negations(names: Sequence[str]) -> list[str]:
    """The names of a pair of switches, as argparse and typer add them."""
    return [*names, *(f"--no-{name.removeprefix('--')}" for name in names)]
