"""A process that has imported everything once and forks a child for every attempt.

An attempt then costs what training costs, without the five seconds that importing torch takes. It
reads one order a line from stdin and answers with the child's process id, then with how it ended.
Its arguments are more modules to import.
"""

import gc
import json
import os
import signal
import sys
import time
from importlib import import_module

from faults.child import obey, read_order, redirect

# What the first command would otherwise import; nothing of it may start a thread.
_PRELOADED = (
    "gemtune.cli.app",
    "gemtune.cli.training",
    "gemtune.config.load",
    "gemtune.evaluation.metrics",
    "gemtune.fine_tuning.train",
    "numpy.ctypeslib",
    "peft.utils.transformers_weight_conversion",
    "torch.utils.tensorboard",
    "transformers.models.llama.modeling_llama",
)


def _main() -> int:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for name in [*_PRELOADED, *sys.argv[1:]]:
        import_module(name)
    gc.freeze()
    print("ready", file=answers)
    for line in iter(sys.stdin.readline, ""):
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            answers.close()
            return _become_child(line)
        print(json.dumps({"pid": child}), file=answers)
        _, status, used = os.wait4(child, 0)
        ending = {
            "exit_code": os.waitstatus_to_exitcode(status),
            "seconds": time.monotonic() - started,
            "peak_memory_mib": used.ru_maxrss / 1024,
        }
        print(json.dumps(ending), file=answers)
    return 0


def _become_child(line: str) -> int:
    os.setsid()
    order = read_order(line)
    redirect(order.log)
    # As a shell starts a program; the test runner may have had other plans.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return obey(order)


if __name__ == "__main__":
    sys.exit(_main())
