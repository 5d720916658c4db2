"""Commands that the pages show exist, and print what the pages show."""

import argparse
import io
import re

import pytest
import yaml

from llama_operator.cli.main import main, parser
from unit.docs.pages import (
    NAMES,
    ROOT,
    Transcript,
    blocks_of,
    commands,
    options,
    transcripts,
)

MAKE_TARGETS = set(
    re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
)
SUBPARSERS: dict[str, argparse.ArgumentParser] = {
    name: subparser
    for action in parser()._actions
    if isinstance(action, argparse._SubParsersAction)
    for name, subparser in action.choices.items()
}
SHOWN = [
    transcript
    for page in NAMES
    for block in blocks_of(page, "console")
    for transcript in transcripts(block)
]
RUNNABLE = [shown for shown in SHOWN if shown.command.startswith("llama-operator ")]


def named(page: str, program: str) -> list[list[str]]:
    """Commands of a program, by whatever path it is called."""
    return [words for words in commands(page) if words[0].rsplit("/", 1)[-1] == program]


@pytest.mark.parametrize("page", NAMES)
def test_every_target_of_make_exists(page: str) -> None:
    for words in named(page, "make"):
        targets = [word for word in words[1:] if "=" not in word]
        assert set(targets) <= MAKE_TARGETS, " ".join(words)


@pytest.mark.parametrize("page", NAMES)
def test_every_command_and_option_exists(page: str) -> None:
    for words in named(page, "llama-operator"):
        if len(words) == 1:
            continue
        assert words[1] in SUBPARSERS or words[1] == "--version", " ".join(words)
        known = set(SUBPARSERS[words[1]]._option_string_actions) if words[1] in SUBPARSERS else {}
        for option in options(words[2:]):
            assert option in known, f"{' '.join(words)}: {option}"


@pytest.mark.parametrize("page", NAMES)
def test_every_value_of_the_chart_exists(page: str) -> None:
    values = yaml.safe_load((ROOT / "charts/llama-operator/values.yaml").read_text("utf-8"))
    for words in named(page, "helm"):
        for setting in (words[n + 1] for n, word in enumerate(words) if word == "--set"):
            found = values
            for key in setting.split("=", 1)[0].split("."):
                assert key in found, " ".join(words)
                found = found[key]


def test_something_is_looked_at() -> None:
    everything = [words for page in NAMES for words in commands(page)]
    assert len([words for words in everything if words[0] == "make"]) > 10
    assert len([words for words in everything if words[0] == "kubectl"]) > 40
    assert len([words for words in everything if words[0] == "llama-operator"]) > 20
    assert len(RUNNABLE) >= 5


@pytest.mark.parametrize("shown", RUNNABLE, ids=lambda shown: shown.where)
def test_the_command_prints_what_is_shown(
    shown: Transcript, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(shown.stdin.encode())))
    status = main(shown.command.split()[1:])
    printed = capsys.readouterr()
    found = [line.rstrip() for line in (printed.err + printed.out).strip().splitlines()]
    expected = shown.output.strip().splitlines()
    assert len(found) == len(expected)
    for there, said in zip(found, expected, strict=True):
        assert (
            there.startswith(said[:-3])
            if said.endswith("...") and there != said
            else (there == said)
        )
    assert status == _status_after(shown)


def _status_after(shown: Transcript) -> int:
    """What `echo $?` prints below the command; 0 where it is not shown."""
    following = SHOWN[SHOWN.index(shown) + 1 :][:1]
    if following and following[0].command == "echo $?":
        return int(following[0].output)
    return 0
