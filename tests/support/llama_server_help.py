"""The options of llama-server, from the text of its `--help`.

An option begins a line with its names, then says what its value is; what it does stands from
column 40 on, or on the next lines. The program itself compares whole words: `--port=8080` is no
option, underscores in a long name are dashes, and the word after an option with a value is that
value whatever it begins with (`common_params_parse_ex` of common/arg.cpp). Numbers are taken
whole here; the program reads as much of one as it can, 8k as 8.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from support.captured_parser import CAPTURES, ArgumentRefused

HELP: Final = "llama-server.help.txt"
_DECLARED = re.compile(r"^(?P<names>-[^\s,]+(?:,\s+-[^\s,]+)*)(?: (?P<value>\S.*?))?(?:\s{2,}|$)")
_ENVIRONMENT = re.compile(r"\(env: (\w+)\)")
_ENUMERATED = re.compile(r"^(?:\{([^}]+)\}|\[(\w+(?:\|\w+)+)\]|<(\w+(?:\|\w+)+)>)$")
_ALLOWED = re.compile(r"allowed values: ([\w, ]+?)(?= \(default|$)")
_DEFAULT = re.compile(r"\(default: (-?\d+(?:\.\d+)?)\b")
_QUOTED = re.compile(r"'(\w+)'")


@dataclass(frozen=True)
class Option:
    """One option."""

    names: tuple[str, ...]
    value: str | None
    """What the help calls its value; None when it takes none."""
    environment: str | None
    text: str
    """What it does, in one line."""

    @property
    def is_removed(self) -> bool:
        return "the argument has been removed" in self.text

    @property
    def words(self) -> int:
        """How many words the value takes."""
        if self.value is None:
            return 0
        return 2 if self.value == "START END" else 1

    @property
    def choices(self) -> list[str]:
        """The values that the help enumerates, if it does."""
        if (match := _ENUMERATED.match(self.value or "")) is not None:
            return re.split(r"[|,]", next(filter(None, match.groups())))
        if (match := _ALLOWED.search(self.text)) is not None:
            return match.group(1).split(", ")
        return []

    def check(self, value: str) -> None:
        """Raise `ArgumentRefused` when the value is not of the option's kind."""
        if self.choices:
            if value not in self.choices:
                raise ArgumentRefused(f"{self.names[-1]}: {value!r} is none of {self.choices}")
        elif self.value in ("N", "PORT") and value not in self._words_for_numbers:
            number = self._number
            try:
                number(value)
            except ValueError:
                kind = number.__name__
                raise ArgumentRefused(f"{self.names[-1]}: {value!r} is no {kind}") from None

    @property
    def _words_for_numbers(self) -> list[str]:
        return _QUOTED.findall(self.text)

    @property
    def _number(self) -> Callable[[str], object]:
        """int where the default is one, or where words stand beside numbers."""
        if (default := _DEFAULT.search(self.text)) is not None:
            return float if "." in default.group(1) else int
        return int if self._words_for_numbers else float


def options(text: str) -> list[Option]:
    """The options in the order of the help."""
    found: list[tuple[re.Match[str], list[str]]] = []
    for line in text.splitlines():
        if (match := _DECLARED.match(line)) is not None and not line.startswith("-----"):
            found.append((match, [line[match.end() :]]))
        elif found and line.startswith(" "):
            found[-1][1].append(line)
    return [_option(match, " ".join(" ".join(lines).split())) for match, lines in found]


def _option(match: re.Match[str], text: str) -> Option:
    environment = _ENVIRONMENT.search(text)
    return Option(
        tuple(re.split(r",\s+", match["names"])),
        match["value"],
        environment.group(1) if environment else None,
        text,
    )


class LlamaServerArguments:
    """The check that the program makes of its arguments."""

    def __init__(self, text: str) -> None:
        self.options = options(text)
        self._by_name = {name: option for option in self.options for name in option.names}

    def parse(self, args: Sequence[str]) -> dict[str, list[str]]:
        """The values by the name given, with dashes; an option without a value has none.

        Raises:
            ArgumentRefused: the program would print an error and exit.
        """
        taken: dict[str, list[str]] = {}
        words = iter(args)
        for word in words:
            name = word.replace("_", "-") if word.startswith("--") else word
            option = self._by_name.get(name)
            if option is None:
                raise ArgumentRefused(f"invalid argument: {word}")
            if option.is_removed:
                raise ArgumentRefused(f"{word}: {option.text}")
            values = [value for _, value in zip(range(option.words), words, strict=False)]
            if len(values) < option.words:
                raise ArgumentRefused(f"expected value for argument: {word}")
            for value in values:
                option.check(value)
            taken[name] = values
        return taken


def llama_server_arguments() -> LlamaServerArguments:
    """The arguments of the llama-server whose help stands in the captures."""
    return LlamaServerArguments((CAPTURES / HELP).read_text(encoding="utf-8"))
