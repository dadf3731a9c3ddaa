"""The faults of the public table: each is done to any contestant in the same way."""

import itertools
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from faults.attempts import Ending
from faults.choosing import spread
from faults.contestants import Contestant
from faults.damage import DAMAGES
from faults.finished_runs import find_bad_tensors
from faults.small_disk import small_disk
from faults.syscalls import CHANGING, Call, calls_below, run_traced, why_no_strace
from faults.tally import Tally
from faults.triggers import Trigger
from safetensors.torch import load_file

MAX_STOP_SECONDS = 25.0
N_MICRO_BATCHES = 20


@dataclass(frozen=True, slots=True)
class Contest:
    """A row of the table."""

    name: str
    measure: Callable[[Contestant, int], Tally]
    """Raises RuntimeError where this machine does not allow it."""
    n_quick: int
    n_full: int


def kill_at_random_times(contestant: Contestant, n: int) -> Tally:
    """SIGKILL, then the same command until it ends."""
    tally, chosen = Tally("kill"), random.Random(n)
    with _folder() as folder:
        unbroken, seconds = _unbroken(contestant, folder)
        for i in range(n):
            run_dir = folder / f"run-{i}"
            moment = chosen.uniform(0.0, seconds)
            attempt = contestant.server.start(
                contestant.command(run_dir), program=contestant.program
            )
            attempt.kill_after(moment)
            tally.count(f"after {moment:.2f} s", _end(contestant, run_dir, unbroken))
    return tally


def kill_inside_a_save(contestant: Contestant, n: int) -> Tally:
    """SIGKILL before a call from the second save on, then the same command."""
    if missing := why_no_strace():
        raise RuntimeError(missing)
    tally = Tally("kill in a save")
    with _folder() as folder:
        unbroken, _ = _unbroken(contestant, folder)
        trace = folder / "trace.txt"
        for i, call in enumerate(spread(_calls_of_a_save(contestant, folder), n)):
            run_dir = folder / f"r{i:05d}"
            inject = ("-e", f"inject={call.name}:signal=KILL:when={call.count}")
            _traced(contestant, run_dir, trace, *inject)
            tally.count(f"{call.name} {call.arguments[-100:]}", _end(contestant, run_dir, unbroken))
    return tally


def damage_the_newest_checkpoint(contestant: Contestant, n: int) -> Tally:
    """Damage a file, then the same command."""
    tally, chosen = Tally("damage"), random.Random(n)
    with _folder() as folder:
        unbroken, _ = _unbroken(contestant, folder)
        killed = folder / "killed"
        trigger = Trigger("open", "kill", path=contestant.saving_path(12))
        contestant.run(killed, triggers=[trigger])
        # The peer leaves a folder of the checkpoint that it could not finish.
        shutil.rmtree(killed / "checkpoint-12", ignore_errors=True)
        names = sorted(path.name for path in contestant.checkpoint_dirs(killed)[-1].iterdir())
        states = [name for name in names if not name.startswith(("README", "tokenizer", "chat_"))]
        for i, (name, kind) in enumerate(spread(list(itertools.product(states, DAMAGES)), n)):
            run_dir = folder / f"run-{i}"
            shutil.copytree(killed, run_dir)
            DAMAGES[kind](contestant.checkpoint_dirs(run_dir)[-1] / name, chosen)
            tally.count(f"{kind} {name}", _end(contestant, run_dir, unbroken))
    return tally


def stop_by_sigterm(contestant: Contestant, n: int) -> Tally:
    """SIGTERM in training."""
    tally = Tally("SIGTERM")
    with _folder() as folder:
        for i in range(n):
            ending = _stop(contestant, folder / f"run-{i}", i, n)
            problems = [] if ending.exit_code > 0 else [f"exit {ending.exit_code}"]
            problems += ["slow"] if ending.seconds > MAX_STOP_SECONDS else []
            tally.count(f"stop {i}", problems)
    return tally


def go_on_after_sigterm(contestant: Contestant, n: int) -> Tally:
    """SIGTERM in training, then the same command."""
    tally = Tally("SIGTERM")
    with _folder() as folder:
        unbroken, _ = _unbroken(contestant, folder)
        for i in range(n):
            run_dir = folder / f"run-{i}"
            _stop(contestant, run_dir, i, n)
            tally.count(f"stop {i}", _end(contestant, run_dir, unbroken))
    return tally


def plant_a_nan(contestant: Contestant, n: int) -> Tally:
    """A NaN in one micro-batch."""
    tally = Tally("NaN")
    with _folder() as folder:
        for i in range(n):
            run_dir, count = folder / f"run-{i}", 1 + i * N_MICRO_BATCHES // n
            trigger = Trigger("micro-batch", "nan", count=count)
            ending = contestant.run(run_dir, triggers=[trigger])
            problems = [] if ending.exit_code > 0 else [f"exit {ending.exit_code}"]
            tally.count(f"micro-batch {count}", problems + find_bad_tensors(run_dir))
    return tally


def fill_the_disk(contestant: Contestant, n: int) -> Tally:
    """No space from a micro-batch on, then space again and the same command."""
    tally = Tally("full disk")
    with _folder() as folder:
        unbroken, _ = _unbroken(contestant, folder)
        for i in range(n):
            (place := folder / f"disk-{i}").mkdir()
            with small_disk(place, mib=64) as disk:
                run_dir, ballast = disk / "run", disk / "ballast"
                count = 2 + i * (N_MICRO_BATCHES - 4) // n
                trigger = Trigger("micro-batch", "fill", count=count, ballast=str(ballast))
                ending = contestant.run(run_dir, triggers=[trigger])
                problems = [] if "space" in ending.text else ["no word of it"]
                ballast.unlink()
                problems += _end(contestant, run_dir, unbroken)
                tally.count(f"micro-batch {count}", problems)
    return tally


def refuse_memory(contestant: Contestant, n: int) -> Tally:
    """The allocator refuses large batches from a micro-batch on."""
    tally = Tally("memory")
    more = (*contestant.smooth, *contestant.least_memory)
    with _folder() as folder:
        contestant.run(folder / "enough", *more)
        for i in range(n):
            run_dir, count = folder / f"run-{i}", 1 + i * (N_MICRO_BATCHES - 4) // n
            trigger = Trigger("micro-batch", "oom", count=count, above_tokens=100, repeat=True)
            ending = contestant.run(run_dir, *more, triggers=[trigger])
            problems = _far_from(contestant, run_dir, folder / "enough", ending)
            tally.count(f"micro-batch {count}", problems)
    return tally


def change_the_data(contestant: Contestant, n: int) -> Tally:
    """Kill, take rows away from the training data, the same command."""
    tally = Tally("changed data")
    with _folder() as folder:
        for i in range(n):
            run_dir, data = folder / f"run-{i}", folder / f"data-{i}"
            shutil.copytree(contestant.data, data)
            trigger = Trigger("open", "kill", path=contestant.saving_path(6 + 3 * (i % 3)))
            contestant.run(run_dir, data=data, triggers=[trigger])
            train = data / "train.jsonl"
            lines = train.read_text(encoding="utf-8").splitlines(keepends=True)
            train.write_text("".join(lines[i % 3 + 1 :]), encoding="utf-8")
            ending = contestant.run(run_dir, data=data)
            trained = contestant.final_weights(run_dir) is not None
            refused = ending.exit_code > 0 and not trained
            tally.count(f"{i % 3 + 1} rows less", [] if refused else ["went on with other data"])
    return tally


CONTESTS = [
    Contest("SIGKILL at a random time: same bytes in the end", kill_at_random_times, 10, 100),
    Contest("SIGKILL before a call that writes or removes checkpoints: same bytes in the end",
            kill_inside_a_save, 10, 500),
    Contest("file of the newest checkpoint damaged: same bytes in the end",
            damage_the_newest_checkpoint, 15, 100),
    Contest("SIGTERM: ends within 25 s, exit code not 0", stop_by_sigterm, 5, 20),
    Contest("SIGTERM, then the same command: same bytes in the end", go_on_after_sigterm, 5, 20),
    Contest("NaN in a micro-batch: exit code not 0, no NaN saved", plant_a_nan, 5, 20),
    Contest("disk full, then freed: said so, same bytes in the end", fill_the_disk, 4, 16),
    Contest("allocator refuses large batches: weights within 1e-4", refuse_memory, 4, 16),
    Contest("rows taken away before resuming: refused", change_the_data, 3, 9),
]  # fmt: skip


def _stop(contestant: Contestant, run_dir: Path, i: int, n: int) -> Ending:
    """The peer answers a signal after three seconds: the run must not be done by then."""
    slow = Trigger("micro-batch", "pause", repeat=True)
    stop = Trigger("micro-batch", "terminate", count=1 + i * N_MICRO_BATCHES // (2 * n))
    return contestant.run(run_dir, triggers=[slow, stop])


def _unbroken(contestant: Contestant, folder: Path) -> tuple[bytes, float]:
    """The weights of a run that nobody disturbs, and the seconds that it takes."""
    contestant.run(folder / "warm")
    ending = contestant.run(folder / "unbroken")
    weights = contestant.final_weights(folder / "unbroken")
    assert weights, ending.text
    return weights, ending.seconds


def _end(contestant: Contestant, run_dir: Path, unbroken: bytes) -> list[str]:
    """Run the same command to the end."""
    ending = contestant.run(run_dir)
    if ending.exit_code:
        return [f"exit {ending.exit_code}: {ending.text.strip()[-150:]}"]
    return [] if contestant.final_weights(run_dir) == unbroken else ["other weights, not a word"]


def _calls_of_a_save(contestant: Contestant, folder: Path) -> list[Call]:
    """Those between the first and the last one that name the checkpoint of step 6."""
    run_dir = folder / "traced"
    calls = calls_below(run_dir, _traced(contestant, run_dir, folder / "trace.txt"))
    mark = contestant.saving_path(6)
    numbers = [i for i, call in enumerate(calls) if mark in call.arguments + call.result_path]
    return calls[numbers[0] : numbers[-1] + 1]


def _traced(contestant: Contestant, run_dir: Path, trace: Path, *options: str) -> list[Call]:
    _, calls = run_traced(
        contestant.server,
        contestant.command(run_dir),
        trace,
        "-e",
        f"trace={CHANGING}",
        *options,
        program=contestant.program,
    )
    return calls


def _far_from(
    contestant: Contestant, run_dir: Path, enough: Path, ending: Ending, tolerance: float = 1e-4
) -> list[str]:
    if ending.exit_code:
        return [f"exit {ending.exit_code}: {ending.text.strip()[-150:]}"]
    mine, theirs = (load_file(each / contestant.weights) for each in (run_dir, enough))
    errors = [
        float(torch.linalg.vector_norm(mine[name] - weight) / torch.linalg.vector_norm(weight))
        for name, weight in theirs.items()
    ]
    return [f"weights differ by {max(errors):.1e}"] if max(errors) > tolerance else []


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
