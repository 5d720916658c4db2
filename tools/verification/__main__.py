"""`python -m verification` writes docs/verification.json and docs/verification.md."""

import sys
from pathlib import Path

from verification import page, promises, record

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Write both files; 1 when a promise is not met."""
    sections = promises.load(ROOT)
    every = list(promises.all_of(sections))
    made = record.make(ROOT, every)
    record.save(ROOT, made)
    (ROOT / page.FILE).write_text(page.render(sections, made), "utf-8")
    outcomes = {one.id: record.outcome(one, made["promises"][one.id]) for one in every}
    for name, found in outcomes.items():
        if found != record.MET:
            print(f"{found}: {name}")
    print(f"{list(outcomes.values()).count(record.MET)} of {len(every)} promises are met")
    return 1 if record.NOT_MET in outcomes.values() else 0


if __name__ == "__main__":
    sys.exit(main())
