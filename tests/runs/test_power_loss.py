"""After a power cut only what was synced is sure to be there, and that is enough.

The saves of a run are recorded call by call. Then a disk is made as a power cut could leave it
after any of the calls: names that were not synced are there or not, in any combination, and files
that were not synced hold any part of their content. Starting again must always find the checkpoint
that was promised, or a newer one, whole.
"""

import copy
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from small_checkpoint import commit_small, is_whole

from gemtune.runs.checkpoints import keep_checkpoints, list_checkpoints, newest_checkpoint
from gemtune.runs.files import write_text

STATES_PER_CALL = 8
STEPS = (5, 10, 15, 20)


@dataclass(eq=False)
class Node:
    """A file or a folder on the disk, whatever its names are."""

    is_folder: bool
    synced: bytes = b""
    """Content of a file that is sure to be there."""
    written: bytes = b""
    """Content of a file as the process sees it."""


@dataclass(eq=False)
class Change:
    """What one call does to names: (folder, name, node or None for a name that goes)."""

    parts: tuple[tuple[Node, str, Node | None], ...]


@dataclass
class Disk:
    """What is on the disk for sure, and what may be there besides."""

    root: Node = field(default_factory=lambda: Node(is_folder=True))
    sure: list[Change] = field(default_factory=list)
    pending: list[Change] = field(default_factory=list)

    def sync(self, node: Node) -> None:
        """Make the content of a file sure, or the names in a folder."""
        node.synced = node.written
        if node.is_folder:
            touched = [c for c in self.pending if any(part[0] is node for part in c.parts)]
            self.sure += touched
            self.pending = [c for c in self.pending if c not in touched]

    def after_power_cut(self, rng: random.Random, target: Path) -> None:
        """Write one of the states in which the disk may be into an empty folder."""
        share = rng.choice((0, 0.5, 1))
        lucky = [change for change in self.pending if rng.random() < share]
        names: dict[int, dict[str, Node]] = {}
        for change in (*self.sure, *lucky):
            for folder, name, node in change.parts:
                entries = names.setdefault(id(folder), {})
                if node is None:
                    entries.pop(name, None)
                else:
                    entries[name] = node
        self._write(self.root, names, target, rng)

    def _write(
        self, folder: Node, names: dict[int, dict[str, Node]], target: Path, rng: random.Random
    ) -> None:
        for name, node in names.get(id(folder), {}).items():
            if node.is_folder:
                (target / name).mkdir()
                self._write(node, names, target / name, rng)
            else:
                content = node.synced
                if node.synced != node.written:
                    n_there = rng.randrange(len(node.written) + 1)
                    content = node.written[:n_there].ljust(rng.choice((0, 64)), b"\0")
                (target / name).write_bytes(content)


class Recorder:
    """Stands between the store and the system and keeps the disk as it was after each call.

    Files are made by calls that are not intercepted; they are noticed at the next one that is.
    """

    def __init__(self, root: Path, patch: pytest.MonkeyPatch, *, obeys_sync: bool = True) -> None:
        """Record what happens below `root`; a disk that does not obey makes nothing sure."""
        self.promised = 0
        """The step of the last checkpoint that the store said is on the disk."""
        self.history: list[tuple[int, Disk]] = []
        self._root, self._disk = root, Disk()
        self._nodes: dict[Path, Node] = {root: self._disk.root}
        for name, record in (
            ("fsync", self._sync if obeys_sync else lambda _descriptor: None),
            ("mkdir", self._mkdir), ("rename", self._rename), ("replace", self._rename),
            ("unlink", self._remove), ("rmdir", self._remove),
        ):  # fmt: skip
            patch.setattr(os, name, self._intercept(getattr(os, name), record))

    def _intercept(self, call: Callable[..., Any], record: Callable[..., None]) -> Any:
        def intercepted(*arguments: Any, dir_fd: int | None = None, **options: Any) -> Any:
            self._notice_files()
            named = [self._resolve(argument, dir_fd) for argument in arguments]
            extra = {} if dir_fd is None else {"dir_fd": dir_fd}
            result = call(*arguments, **options, **extra)
            record(*named)
            self.history.append((self.promised, copy.deepcopy(self._disk)))
            return result

        return intercepted

    def _resolve(self, argument: int | str | Path, dir_fd: int | None) -> int | Path:
        if isinstance(argument, int):
            return argument
        return path_of(dir_fd) / argument if dir_fd is not None else Path(argument)

    def _notice_files(self) -> None:
        for path in sorted(path for path in self._root.rglob("*") if path.is_file()):
            if path not in self._nodes:
                self._add(path, Node(is_folder=False))
            self._nodes[path].written = path.read_bytes()

    def _add(self, path: Path, node: Node) -> None:
        self._nodes[path] = node
        self._change((path, node))

    def _change(self, *parts: tuple[Path, Node | None]) -> None:
        change = Change(tuple((self._nodes[path.parent], path.name, node) for path, node in parts))
        self._disk.pending.append(change)

    def _sync(self, descriptor: int) -> None:
        # The parent of the whole folder is not ours to record.
        if node := self._nodes.get(path_of(descriptor)):
            self._disk.sync(node)

    def _mkdir(self, path: Path, *_mode: int) -> None:
        self._add(path, Node(is_folder=True))

    def _rename(self, source: Path, target: Path) -> None:
        self._change((target, self._nodes[source]), (source, None))
        for path in [path for path in self._nodes if source in (path, *path.parents)]:
            self._nodes[target / path.relative_to(source)] = self._nodes.pop(path)

    def _remove(self, path: Path) -> None:
        self._change((path, None))
        del self._nodes[path]


def path_of(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def train(root: Path, recorder: Recorder) -> None:
    """Save as a run does whose best checkpoint is the first one."""
    for step in STEPS:
        commit_small(root, step)
        recorder.promised = step
        keep_checkpoints(root, {STEPS[0], step - 5, step})


def states(recorder: Recorder, tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """What power cuts could have left, and the step that was promised by then."""
    rng = random.Random(11)
    for i, (promised, disk) in enumerate(recorder.history):
        for n in range(STATES_PER_CALL):
            state = tmp_path / f"state-{i}-{n}"
            state.mkdir()
            disk.after_power_cut(rng, state)
            yield promised, state
            shutil.rmtree(state)


def is_promise_kept(root: Path, promised: int) -> bool:
    found, told = newest_checkpoint(root)
    return (
        not told
        and (found.step if found else 0) >= promised
        and all(is_whole(checkpoint) for checkpoint in list_checkpoints(root))
    )


@pytest.fixture
def live(tmp_path: Path) -> Path:
    (tmp_path / "live").mkdir()
    return tmp_path / "live"


def test_a_power_cut_at_any_time_leaves_the_promised_checkpoint_or_a_newer_one(
    live: Path, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        recorder = Recorder(live, patch)
        train(live / "checkpoints", recorder)
    kept = [
        is_promise_kept(state / "checkpoints", promised)
        for promised, state in states(recorder, tmp_path)
    ]
    assert all(kept)
    assert len(kept) > 300


def test_a_disk_that_does_not_obey_would_be_noticed_here(live: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        recorder = Recorder(live, patch, obeys_sync=False)
        train(live / "checkpoints", recorder)
    assert not all(
        is_promise_kept(state / "checkpoints", promised)
        for promised, state in states(recorder, tmp_path)
    )


def test_a_power_cut_leaves_the_old_file_or_the_new_one(live: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        recorder = Recorder(live, patch)
        write_text(live / "run.json", "old")
        recorder.promised = 1
        write_text(live / "run.json", "new content")
        recorder.promised = 2
        write_text(live / "other", "")
    allowed = {0: {None, "old"}, 1: {"old", "new content"}, 2: {"new content"}}
    for promised, state in states(recorder, tmp_path):
        path = state / "run.json"
        assert (path.read_text("utf-8") if path.exists() else None) in allowed[promised]
