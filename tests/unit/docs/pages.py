"""The project's pages as data: blocks, code spans, links, headings, and commands with output."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "charts/llama-operator/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

_FENCE = re.compile(r"^ *```(\S*)\s*$")
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PROMPT = "$ "
_SHELLS = ("", "sh", "console")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Transcript:
    """One command of a console block, what it is given on standard input, and what it printed."""

    where: str
    command: str
    stdin: str
    output: str


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def split(page: str) -> tuple[list[Block], str]:
    """The blocks of a page, and its prose with blank lines in their place."""
    blocks: list[Block] = []
    prose: list[str] = []
    held: list[str] | None = None
    language, start = "", 0
    for number, line in enumerate(text_of(page).splitlines(), start=1):
        fence = _FENCE.match(line)
        if held is None and fence:
            held, language, start = [], fence.group(1), number
        elif held is not None and fence:
            blocks.append(Block(page, start, language, "\n".join(held) + "\n"))
            held = None
        elif held is not None:
            held.append(line)
        if held is not None or fence:
            line = ""
        prose.append(line)
    assert held is None, f"{page}: the block of line {start} has no end"
    return blocks, "\n".join(prose) + "\n"


def blocks_of(page: str, *languages: str) -> list[Block]:
    return [block for block in split(page)[0] if not languages or block.language in languages]


def spans(page: str) -> list[str]:
    return _SPAN.findall(split(page)[1])


def links(page: str) -> list[str]:
    return _LINK.findall(_SPAN.sub("", split(page)[1]))


def anchors(page: str) -> set[str]:
    """Anchors of the headings as GitHub makes them."""
    found = set()
    for line in split(page)[1].splitlines():
        heading = re.match(r"#{1,6} (.+)", line)
        if heading:
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.group(1)).lower()
            found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def tables(page: str) -> Iterator[list[list[str]]]:
    """Tables as rows of cells, the heading first."""
    rows: list[list[str]] = []
    for line in [*split(page)[1].splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            yield [rows[0], *rows[2:]]
            rows = []


def table(page: str, first_heading: str) -> list[list[str]]:
    """The rows of the one table whose first column has this heading."""
    (found,) = (rows[1:] for rows in tables(page) if rows[0][0] == first_heading)
    return found


def transcripts(block: Block) -> Iterator[Transcript]:
    """The commands of a console block; `<<'EOF'` gives standard input."""
    lines = block.text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(_PROMPT)]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        command, stdin, body = lines[start].removeprefix(_PROMPT), "", lines[start + 1 : end]
        if command.endswith("<<'EOF'"):
            command = command.removesuffix("<<'EOF'").strip()
            stop = body.index("EOF")
            stdin, body = "\n".join(body[:stop]) + "\n", body[stop + 1 :]
        yield Transcript(f"{block.page}:{block.line + 1 + start}", command, stdin, "\n".join(body))


def shell_lines(page: str) -> Iterator[str]:
    """Every line that a reader may type: in blocks for shells, and in spans."""
    for block in blocks_of(page, *_SHELLS):
        text = block.text.replace("\\\n", " ")
        for line in text.splitlines():
            if block.language != "console":
                yield line.strip().removeprefix(_PROMPT)
            elif line.startswith(_PROMPT):
                yield line.removeprefix(_PROMPT)
    yield from spans(page)


def commands(page: str) -> Iterator[list[str]]:
    """The words of every simple command that a reader may type, comments left out."""
    for line in shell_lines(page):
        for part in re.split(r"\|(?!\|)|\|\||&&|;|(?<!&)&(?!&)|<\(|\$\(", _without_quotes(line)):
            try:
                words = shlex.split(_with_quotes(part), comments=True)
            except ValueError:
                continue
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words:
                yield words


_HIDDEN = {"|": "\ue000", "&": "\ue001", ";": "\ue002", "(": "\ue003"}


def _without_quotes(line: str) -> str:
    """The line with the shell's separators hidden inside single quotes."""

    def hide(match: re.Match[str]) -> str:
        return "".join(_HIDDEN.get(letter, letter) for letter in match.group(0))

    return re.sub(r"'[^']*'", hide, line)


def _with_quotes(line: str) -> str:
    for letter, hidden in _HIDDEN.items():
        line = line.replace(hidden, letter)
    return line


def options(words: Sequence[str]) -> list[str]:
    """The options among the words of a command, without their values."""
    return [word.split("=", 1)[0] for word in words if re.match(r"-{1,2}[a-z]", word)]
