"""Runs the command, both as `python tools/engines` and as `python -m engines`."""

import sys
from pathlib import Path


def main() -> int:
    """Make the package importable when it was started as a folder, and run the command."""
    if not __package__:
        # Python has put this folder on the path; its modules are part of a package.
        sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from engines import command

    return command.main()


if __name__ == "__main__":
    sys.exit(main())
