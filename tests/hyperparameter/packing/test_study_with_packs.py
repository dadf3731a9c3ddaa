"""A whole study whose trials are trained in packs, and what it leaves for its reader."""

import json
from pathlib import Path

import pytest
from small_study import study_settings, write_study_data

from gemtune.config.load import load_config
from gemtune.hyperparameter.optimize import run_study
from gemtune.hyperparameter.packing.network import PackedNetwork
from gemtune.reporting.study_write import write_study_report


def test_a_study_in_packs_comes_to_its_end_and_tells_how_many_were_trained_together(
    tiny_llama_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    compute = PackedNetwork.add_gradients

    def watch(network: PackedNetwork, shares: list[object]) -> list[float]:
        sizes.append(len(shares))
        return compute(network, shares)  # type: ignore[bad-argument-type]

    monkeypatch.setattr(PackedNetwork, "add_gradients", watch)
    settings = ("hyperparameter.n_refits=1", "hyperparameter.packing=4")
    config = load_config((), study_settings(tiny_llama_dir, *settings))
    output_dir = tmp_path / "out"
    run_study(write_study_data(tmp_path / "data"), output_dir, config)
    record = json.loads((output_dir / "study.json").read_text(encoding="utf-8"))
    assert record["status"] == "done"
    assert {trial["state"] for trial in record["trials"]} <= {"complete", "pruned"}
    assert record["packing"] == {
        "n_together": 4,
        "reason": "hyperparameter.packing=4",
        "measured": [],
    }
    assert max(sizes) == 4
    page = write_study_report(output_dir).read_text(encoding="utf-8")
    assert "Trials trained together" in page
    assert "hyperparameter.packing=4" in page
