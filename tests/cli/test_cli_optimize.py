"""`optimize` as a user types it, with a tiny model."""

import json
import logging
import os
import shlex
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_study import study_settings, write_study_data

from gemtune.cli import app
from gemtune.config.params import Params
from gemtune.hyperparameter.advance import Advance
from gemtune.hyperparameter.engine import TrialEngine
from gemtune.runs.signals import stop_on_signals


@pytest.fixture(autouse=True)
def _quiet_afterwards() -> Iterator[None]:
    yield
    logging.getLogger("gemtune").handlers = []
    logging.getLogger("gemtune").setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study_data(tmp_path_factory.mktemp("task") / "data")


@pytest.fixture(scope="module")
def settings(tiny_llama_dir: Path) -> list[str]:
    return study_settings(
        tiny_llama_dir,
        "hyperparameter.n_refits=1",
        "hyperparameter.n_trials=2",
        "hyperparameter.select=loss",
        "fine_tuning.training.epochs=1",
    )


@pytest.fixture(scope="module")
def done(data_dir: Path, settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that is done: only settings that are always tried were."""
    folder = tmp_path_factory.mktemp("done") / "out"
    assert app.run(["-q", "optimize", str(data_dir), str(folder), *settings]) in (0, 10)
    return folder


def test_a_study_shows_each_part_and_ends_with_what_is_kept_and_the_next_command(
    data_dir: Path, settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["optimize", str(data_dir), str(tmp_path / "out"), *settings, "--timeout", "5000"]
    code = app.run(words)
    captured = capsys.readouterr()
    study = json.loads((tmp_path / "out" / "study.json").read_text(encoding="utf-8"))
    assert code == (0 if study["proof"]["is_proven"] else 10)
    shown = [line for line in captured.err.splitlines() if line.startswith("trial 0 (config) at ")]
    assert len(shown) == len(study["trials"][0]["rungs"])
    assert " | best " in shown[0]
    assert shown[0].endswith(" of 1 h 23 min")
    # How each trial is set up is left out; how the refits are trained is not.
    trials, _, refits = captured.err.partition(" wins among ")
    assert "optimizer steps of" not in trials
    assert "optimizer steps of" in refits
    lines = captured.out.splitlines()
    assert lines[0].startswith("2 trials (")
    assert f"the adapter is in {tmp_path / 'out' / 'model'}" in lines
    assert lines[-2] == f"the report is {tmp_path / 'out' / 'study_report.html'}"
    introduction, program, *rest = shlex.split(lines[-1])
    assert (introduction, program, rest[0]) == ("next:", "gemtune", "finetune")
    rest[rest.index("OUT_DIR")] = str(tmp_path / "again")
    assert app.run(rest) == 0


def test_a_study_that_is_done_says_so_with_the_same_exit_code(
    done: Path, data_dir: Path, settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    study = json.loads((done / "study.json").read_text(encoding="utf-8"))
    code = app.run(["optimize", str(data_dir), str(done), *settings])
    assert code == (0 if study["proof"]["is_proven"] else 10)
    assert capsys.readouterr().out.startswith("nothing to do: this study is done\n")


def test_the_result_as_json_is_one_document(
    done: Path, data_dir: Path, settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    app.run(["optimize", str(data_dir), str(done), *settings, "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["was_done"] is True
    assert result["best_params"]["learning_rate"] > 0
    assert result["proof"]["published"] in ("default", "trial-0000", "trial-0001")


def test_a_worker_helps_with_a_study_until_nothing_is_left(
    done: Path, data_dir: Path, settings: list[str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    url = f"sqlite:///{done / 'study.db'}"
    words = ["optimize", "worker", str(data_dir), str(tmp_path / "w"), "--storage", url]
    assert app.run([*words, *settings, "-q"]) == 0
    assert capsys.readouterr().out == (
        "no trial is left for this worker; it trained 0 parts of trials\n"
    )


def test_the_help_of_the_search_tells_of_workers(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["optimize", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Usage: gemtune optimize [OPTIONS] DATA_DIR OUT_DIR [KEY=VALUE]...")
    assert "optimize worker" in " ".join(text.split())
    assert app.run(["optimize", "worker", "--help"]) == 0
    assert "Usage: gemtune optimize worker " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["hyperparameter.max_usd=5"], 2, "hyperparameter.usd_per_hour"),
        (["--n-trials", "0"], 2, "0 is not in the range"),
        (["evaluation.primary_metric=acuracy"], 2, "did you mean 'accuracy'?"),
        (["--timeout", "0.01"], 7, "run the same command again with hyperparameter.timeout"),
    ],
)
def test_what_cannot_work_has_its_code_and_its_cure(
    words: list[str],
    code: int,
    message: str,
    data_dir: Path,
    settings: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["optimize", str(data_dir), str(tmp_path / "out"), *settings, *words]
    assert app.run(command) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_ends_a_study_in_good_order_and_the_same_command_goes_on(
    signum: int,
    code: int,
    data_dir: Path,
    settings: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["optimize", str(data_dir), str(tmp_path / "out"), *settings]
    real, n_steps = TrialEngine.advance, iter(range(1000))

    def advance(
        self: TrialEngine,
        params: Params,
        trial_dir: Path,
        to_fraction: float,
        on_step: Callable[[], None],
    ) -> Advance:
        def step() -> None:
            if next(n_steps) == 3:
                os.kill(os.getpid(), signum)
            on_step()

        return real(self, params, trial_dir, to_fraction, step)

    monkeypatch.setattr(TrialEngine, "advance", advance)
    with stop_on_signals():
        assert app.run(words) == code
    assert "run the same command again" in capsys.readouterr().err
    assert app.run(words) in (0, 10)
    study = json.loads((tmp_path / "out" / "study.json").read_text(encoding="utf-8"))
    assert len(study["trials"]) == 2
