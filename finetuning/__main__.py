"""`python -m finetuning`: the program of `scripts/finetune`."""

import sys

from finetuning.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
