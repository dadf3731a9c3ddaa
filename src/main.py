"""Lets `python -m src.main finetune ...` work in a clone, at the repository root, uninstalled."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gemtune.cli import main

if __name__ == "__main__":
    sys.exit(main())
