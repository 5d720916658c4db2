"""`python -m llama_operator` is the command `llama-operator`."""

import sys

from llama_operator.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
