"""Standard streams that the caller closed."""

import os
import sys


def open_closed_streams() -> None:
    """Let stdin, stdout and stderr be something, if need be the place where all is lost.

    Otherwise the next file that is opened would take the number of a closed one, and messages of
    libraries would go into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken, which is this one.
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
