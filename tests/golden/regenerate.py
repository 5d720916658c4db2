"""Write the golden objects and rows anew; the difference is read like code before it is kept.

Run from the root of the repository: `make golden`.
"""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden.cases import CASES, dump
from golden.row_facts import FOLDER, goldens
from golden.rows import ROWS


def main() -> None:
    """Render every case into its folder `expected`, and every row into the folder `rows`."""
    for case in CASES:
        shutil.rmtree(case.expected_folder, ignore_errors=True)
        case.expected_folder.mkdir()
        for name, manifest in case.render().items():
            (case.expected_folder / f"{name}.yaml").write_text(dump(manifest), encoding="utf-8")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for name, text in goldens(ROWS).items():
        (FOLDER / f"{name}.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
