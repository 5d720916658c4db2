"""What the exit status of a command tells; one that failed otherwise ends with 1."""

from typing import Final

EXIT_FITS: Final = 0
"""Done; what was planned or sized fits."""
EXIT_BAD_INPUT: Final = 2
EXIT_DOES_NOT_FIT: Final = 3
