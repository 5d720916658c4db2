"""The page of docs/accuracy.md."""

import textwrap
from collections.abc import Sequence
from typing import Final

from accuracy.lines import (
    LINES,
    Line,
    coverage,
    median,
    percentile_95,
    wrong_verdicts,
)
from accuracy.rows import Measured, remarks

_TOOLS: Final = {
    "A weights per GPU": "file size / GPUs 0.22 / 6.6 %, KAITO 1.8 / 4.8 %",
    "D KV tokens end to end": "KAITO 2.2 / 75 %, AIConfigurator 2.2 / 74 %",
    "E non-KV footprint": "KAITO 1.56 / 2.85 GiB",
    "F GGUF bytes": "bits by name 13 / 17 %",
}
_HEADING: Final = """# Accuracy of the memory model

Written by `make accuracy` from `tests/data/engine-memory`: what engines reported when they
started, and what the memory model computes for the same settings. Some rules were fitted to
rows of this collection ([sizing](explanation/sizing.md)), so on other rows errors may be
larger. Errors are absolute; the 95th percentile is the smallest error that 95 of 100 rows do not
exceed.

"""


def accuracy_page(rows: Sequence[Measured]) -> str:
    """The whole page."""
    return _HEADING + "\n".join([_acceptance(rows), _verdicts(rows), _versions(rows), _worst(rows)])


def _acceptance(rows: Sequence[Measured]) -> str:
    table = [
        "## By figure",
        "",
        "| figure | rows | median | 95th percentile | worst | accepted | other tools |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for line in LINES:
        errors = line.errors(rows)
        values = [error for error, _ in errors]
        table.append(
            f"| {line.name} | {len(values)} | {_figure(median(values), line)} "
            f"| {_figure(percentile_95(values), line)} "
            f"| {_figure(values[0], line)} (`{errors[0][1].name}`) "
            f"| {line.median:g} / {line.high:g} {line.unit} | {_TOOLS.get(line.name, '')} |"
        )
    return "\n".join([*table, ""])


def _verdicts(rows: Sequence[Measured]) -> str:
    missed, false, refused, started = wrong_verdicts(rows)
    lacking, counted = coverage(rows)
    return "\n".join(
        [
            "## Fits or not",
            "",
            _paragraph(
                f"Of {refused} starts that an engine refused or that ran out of memory, "
                f"{refused - len(missed)} are found{_names(missed)}. Of {started} that started, "
                f"{len(false)} are refused{_names(false)}. Rows count that name GPU, tensor "
                "parallel size and context."
            ),
            "",
            _paragraph(
                f"{counted - len(lacking)} of {counted} rows of vLLM and llama.cpp with a "
                f"configuration have a prediction{_names(lacking)}."
            ),
            "",
        ]
    )


def _versions(rows: Sequence[Measured]) -> str:
    """Errors of every row that has the figure, whether it counts or not."""
    lines = [
        "## By engine and version",
        "",
        _paragraph(
            "Every row that has the figure, also those that do not count above; the newest version "
            "first, and rows whose version is not published last."
        ),
        "",
        "| engine | version | figure | rows | median | 95th percentile | worst |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    groups: dict[str, dict[tuple[int, ...], list[Measured]]] = {}
    for row in rows:
        groups.setdefault(row.row["engine"], {}).setdefault(row.version, []).append(row)
    for engine in sorted(groups, key=lambda name: (name != "vllm", name)):
        for version, members in sorted(groups[engine].items(), reverse=True):
            name = ".".join(map(str, version)) if any(version) else "not published"
            for line in LINES:
                errors = [error for error, _ in line.all_errors(members)]
                if errors:
                    lines.append(
                        f"| {engine} | {name} | {line.name[2:]} | {len(errors)} | "
                        f"{_figure(median(errors), line)} | "
                        f"{_figure(percentile_95(errors), line)} | {_figure(errors[0], line)} |"
                    )
    return "\n".join([*lines, ""])


def _worst(rows: Sequence[Measured]) -> str:
    why = remarks()
    table = [
        "## Rows that are off",
        "",
        _paragraph(
            "Every error above the accepted 95th percentile, also of rows that do not count: forks "
            "and other engines, versions before 0.9 (whose batch does not follow from the GPU) and "
            "after 0.19 (of which no profile is published), several pipeline stages where bytes "
            "and tokens are of different ones."
        ),
        "",
        "| row | engine | model | figure | error | counts | why |",
        "| --- | --- | --- | --- | ---: | --- | --- |",
    ]
    for line in LINES:
        for error, row in line.all_errors(rows):
            if error > line.high:
                engine = f"{row.row['engine']} {row.row['engine_version']}".strip()
                table.append(
                    f"| `{row.name}` | {engine} | {row.row['model_repo']} | {line.name} "
                    f"| {_figure(error, line)} | {'yes' if line.counts(row) else 'no'} "
                    f"| {why.get(row.name, '')} |"
                )
    return "\n".join([*table, ""])


def _paragraph(text: str) -> str:
    return textwrap.fill(text, 120, break_on_hyphens=False)


def _figure(value: float, line: Line) -> str:
    return f"{value:.3f} {line.unit}"


def _names(names: Sequence[str]) -> str:
    return f" (not {', '.join(f'`{name}`' for name in names)})" if names else ""
