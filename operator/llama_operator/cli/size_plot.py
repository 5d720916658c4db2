"""`llama-operator size --plot`: memory of one GPU as stacked bars against the card's size.

matplotlib is an optional dependency, the extra `plot`, and is imported where something is drawn.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llama_operator.cli.memory_bar import Part
from llama_operator.cli.size_view import changes_text, placement_text, stage_groups, stage_parts
from llama_operator.errors import InputError
from llama_operator.units import GIB

if TYPE_CHECKING:
    from llama_operator.cli.size_one import Answer

SUFFIXES: Final = (".svg", ".png")
NEEDED: Final = "--plot needs matplotlib, the extra plot: pip install 'llama-operator[plot]'"
COLORS: Final = {
    "W": "#0072B2",
    "A": "#E69F00",
    "N": "#CC79A7",
    "G": "#D55E00",
    "K": "#009E73",
    "L": "#56B4E9",
    "R": "#D55E00",
    "O": "#F0E442",
    "T": "#CC79A7",
    ".": "#E5E5E5",
}
"""By a part's letter; people with any colour vision tell them apart (Okabe and Ito 2008)."""
HATCHES: Final = {".": "///"}
LABEL_SHARE: Final = 0.04
"""Parts below this share of the axis have no figure inside; a note below it takes as much."""
LABEL_CELLS: Final = 24
"""Letters of a line below a bar."""
DARK: Final = "WNGKRT"
"""Letters of parts that white figures are read on."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One GPU: its parts from the bottom up, and its size; 0 where none is named."""

    label: str
    parts: tuple[Part, ...]
    total_bytes: int


def bars_of(answer: "Answer") -> tuple[Bar, ...]:
    """What was asked, by stage, and beside it what fits instead."""
    found, setting = answer.estimate, answer.setting
    if not found.stages:
        msg = f"--plot: there is nothing to draw: {found.message}"
        raise InputError(msg)
    groups = stage_groups(found)
    asked = "asked: " if answer.nearest else ""
    bars = [
        Bar(
            asked + (placement_text(setting) if len(groups) == 1 else name),
            stage_parts(setting, found, stage),
            setting.total_bytes,
        )
        for name, stage in groups
    ]
    for item in answer.nearest:
        tightest = item.estimate.tightest
        if tightest is not None:
            parts = stage_parts(item.setting, item.estimate, tightest)
            bars.append(Bar(changes_text(item.changes), parts, item.setting.total_bytes))
    return tuple(bars)


def check_path(path: Path) -> None:
    """Check the name of the file.

    Raises:
        InputError: it ends otherwise than a picture that can be drawn.
    """
    if path.suffix.lower() not in SUFFIXES:
        msg = f"--plot {path}: the name must end in {' or '.join(SUFFIXES)}"
        raise InputError(msg)


def draw(path: Path, title: str, bars: Sequence[Bar]) -> None:
    """Draw bars into a file; the same bars make the same file.

    Raises:
        InputError: matplotlib is not installed, or the file cannot be written.
    """
    check_path(path)
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(NEEDED) from None
    with matplotlib.rc_context({"svg.hashsalt": "llama-operator", "hatch.linewidth": 0.4}):
        width = 3.4 + 1.5 * len(bars)
        figure = Figure(figsize=(width, 5.2), dpi=150, layout="constrained")
        _draw(figure.add_subplot(), title, bars)
        metadata: dict[str, Any] = {"Date": None} if path.suffix.lower() == ".svg" else {}
        try:
            figure.savefig(path, metadata=metadata)
        except OSError as error:
            msg = f"--plot {path} cannot be written: {error.strerror}"
            raise InputError(msg) from None


def _draw(axes: Any, title: str, bars: Sequence[Bar]) -> None:  # noqa: ANN401 - matplotlib's
    top = max(max(bar.total_bytes, sum(part.size_bytes for part in bar.parts)) for bar in bars)
    named: set[str] = set()
    for position, bar in enumerate(bars):
        bottom = 0.0
        for part in bar.parts:
            size = part.size_bytes / GIB
            name, _, note = part.name.partition(", ")
            axes.bar(
                position,
                size,
                width=0.62,
                bottom=bottom,
                color=COLORS[part.letter],
                edgecolor="white",
                linewidth=0.6,
                hatch=HATCHES.get(part.letter),
                label=None if part.letter in named else name,
            )
            named.add(part.letter)
            has_room = part.size_bytes >= 2 * LABEL_SHARE * top
            if part.size_bytes >= LABEL_SHARE * top:
                axes.text(
                    position,
                    bottom + size / 2,
                    f"{size:.1f}" + (f"\n{note}" if note and has_room else ""),
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if part.letter in DARK else "black",
                )
            bottom += size
        if bar.total_bytes:
            _draw_card(axes, position, bar.total_bytes / GIB, first=position == 0)
    axes.set_xticks(range(len(bars)), [_wrapped(bar.label) for bar in bars], fontsize=8)
    axes.set_xlim(-0.6, len(bars) - 0.4)
    axes.set_ylim(0, 1.08 * top / GIB)
    axes.set_ylabel("memory of one GPU, GiB")
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1],
        labels[::-1],
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize=8,
    )


def _draw_card(axes: Any, position: int, size_gib: float, *, first: bool) -> None:  # noqa: ANN401
    axes.hlines(
        size_gib,
        position - 0.42,
        position + 0.42,
        colors="black",
        linewidth=1.6,
        label="size of the GPU" if first else None,
    )
    axes.annotate(
        f"{size_gib:.2f}",
        (position + 0.42, size_gib),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=7,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0},
    )


def _wrapped(label: str) -> str:
    lines = label.replace(" --", "\n--").replace(": ", ":\n").split("\n")
    return "\n".join(
        part for line in lines for part in textwrap.wrap(line, LABEL_CELLS, break_on_hyphens=False)
    )
