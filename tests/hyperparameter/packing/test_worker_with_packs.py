"""A worker whose engine trains several trials at once takes several parts, and finds the same."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hyperparameter.fake_engine import FakeEngine
from hyperparameter.searches import make_search, open_search, run_search, trials_of

from gemtune.hyperparameter.advance import Advance, Errand
from gemtune.hyperparameter.claims import read_parts, take_part
from gemtune.hyperparameter.database import sqlite_url
from gemtune.hyperparameter.holding import LostPartError
from gemtune.hyperparameter.process_identity import new_identity
from gemtune.hyperparameter.settle import Work


class PackingEngine(FakeEngine):
    """Remembers its packs."""

    def __init__(self, n_together: int) -> None:
        """Nothing is trained yet."""
        super().__init__(n_together=n_together)
        self.packs: list[list[tuple[str, float]]] = []

    def advance_together(self, errands: Sequence[Errand]) -> list[Advance]:
        """Keep which trials came together."""
        self.packs.append([(each.trial_dir.name, each.to_fraction) for each in errands])
        return super().advance_together(errands)


@pytest.mark.parametrize("n_together", [2, 4, 8])
def test_a_study_is_the_same_with_packs_of_any_size(tmp_path: Path, n_together: int) -> None:
    search, engine = make_search(12), PackingEngine(n_together)
    found = []
    for name, each in (("alone", FakeEngine()), ("packed", engine)):
        folder = tmp_path / name
        folder.mkdir()
        with closing(open_search(sqlite_url(folder / "study.db"), search)) as store:
            assert run_search(store, search, folder, each).is_complete
            found.append(trials_of(store))
    assert found[0] == found[1]
    assert max(len(pack) for pack in engine.packs) == n_together
    for pack in engine.packs:
        assert len({fraction for _, fraction in pack}) == 1


def test_a_pack_is_as_large_as_the_budget_has_room_for(tmp_path: Path) -> None:
    search, engine = make_search(9), PackingEngine(8)

    def may_start(work: Work) -> bool:
        return work.n_trials <= 3 or work.n_trials == 9

    with closing(open_search(sqlite_url(tmp_path / "study.db"), search)) as store:
        assert run_search(store, search, tmp_path, engine, may_start).is_complete
    assert {len(pack) for pack in engine.packs} <= {2, 3}
    assert any(len(pack) == 3 for pack in engine.packs)


def test_a_part_that_somebody_died_with_is_trained_without_company(tmp_path: Path) -> None:
    search, engine = make_search(9), PackingEngine(8)
    place, pid, start, token = new_identity().split("/")
    dead = "/".join([place, pid, f"{start}1", token])
    with closing(open_search(sqlite_url(tmp_path / "study.db"), search)) as store:
        assert take_part(store.database, store.name, (2, 0), dead, None)
        assert run_search(store, search, tmp_path, engine).is_complete
        parts = read_parts(store.database, store.name)
    assert parts[(2, 0)].n_deaths == 1
    assert len(engine.packs[0]) == 8
    assert not any(("trial-0002", search.fractions[0]) in pack for pack in engine.packs)


def test_a_pack_of_which_one_is_lost_is_given_back_whole(tmp_path: Path) -> None:
    class Losing(PackingEngine):
        """Hears once that somebody else has taken over."""

        def advance_together(self, errands: Sequence[Errand]) -> list[Advance]:
            if not self.packs:
                self.packs.append([])
                raise LostPartError
            return super().advance_together(errands)

    search = make_search(9)
    with closing(open_search(sqlite_url(tmp_path / "study.db"), search)) as store:
        assert run_search(store, search, tmp_path, Losing(4)).is_complete
        parts = read_parts(store.database, store.name)
    assert all(part.n_deaths == 0 for part in parts.values())
