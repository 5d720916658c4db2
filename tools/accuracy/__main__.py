"""Write docs/accuracy.md: `python -m accuracy`."""

from accuracy.page import accuracy_page
from accuracy.rows import ROOT, measured_rows

PAGE = ROOT / "docs/accuracy.md"

PAGE.write_text(accuracy_page(measured_rows()), encoding="utf-8")
print(PAGE.relative_to(ROOT))
