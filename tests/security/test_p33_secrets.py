"""P33: secrets stand in no file of a run, on no screen and in no report of a bug."""

import json
import logging
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gemtune.cli.app import run
from gemtune.cli.border import report_error
from gemtune.cli.logs import start_logging
from gemtune.config.dump import dump_resolved
from gemtune.config.schema import Config, FineTuningConfig, ProjectConfig
from gemtune.errors import DataError, RunLockedError
from gemtune.redaction import MARK, redact
from gemtune.runs.lock import exclusive_lock
from gemtune.runs.run import write_run

# In pieces, so that scanners of repositories do not take them for real ones.
PEM = "-----BEGIN {0}PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END {0}PRIVATE KEY-----"
SECRETS = {
    "Google API key": "AI" + "zaSyD" + "x0Y-" * 8 + "k",
    "Google access token": "ya" + "29." + "a0AfH6SMBx" * 4,
    "Google refresh token": "1/" + "/0g" + "LongTokenOfGoogle-" * 2,
    "Google OAuth client": "GOC" + "SPX-" + "aB3dE6gH9jK2mN5pQ8sT",
    "Hugging Face": "hf" + "_" + "QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi",
    "AWS key id": "AK" + "IA" + "IOSFODNN7EXAMPLE",
    "GitHub": "gh" + "p_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "GitHub, fine-grained": "github" + "_pat_" + "11ABCDEFG0aBcDeFgHiJkL_xyz",
    "GitLab": "gl" + "pat-" + "aBcDeFgHiJkLmNoPqRsT",
    "OpenAI": "sk" + "-proj-" + "aB3dE6gH9jK2mN5pQ8sTuVwX",
    "Slack": "xo" + "xb-" + "123456789012-AbCdEfGhIjKl",
    "PyPI": "py" + "pi-AgE" + "IcHlwaS5vcmcCJ" * 5,
    "a web token": "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmN",
    "a private key": PEM.format("RSA "),
    "a service account's key": PEM.format(""),
    "an address with a password": "https" + "://robot:Pa55w0rd-of-it@host.example/path",
    "a bearer": "Bearer " + "c2VjcmV0LXRva2VuLWZvci10ZXN0",
    "a named password": "password" + "=correct-horse-battery",
}
# The part that must never be seen; the words around it may stay.
CORES = {name: secret.split("robot:")[-1].split("@")[0] for name, secret in SECRETS.items()}
CORES |= {"a bearer": SECRETS["a bearer"].split()[1], "a named password": "correct-horse-battery"}
CORES |= dict.fromkeys(("a private key", "a service account's key"), "MIIEvQIBADANBgkqhkiG9w0")


def assert_no_secret(text: str) -> None:
    assert not [name for name, core in CORES.items() if core in text]


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("frame", ["{}", "before {} after", 'x: "{}"', "a\n{}\nb", "({}),"])
def test_a_secret_of_a_known_form_is_marked(name: str, frame: str) -> None:
    shown = redact(frame.format(SECRETS[name]))

    assert CORES[name] not in shown
    assert MARK in shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "eos_token = '<|endoftext|>' at https://host.example:8080/path?key=",
        "fine_tuning.training.learning_rate=0.0005, 1,024 tokens, tokens_per_second: 812.5",
        "sha256 3b4c0f6c2f1d9d1f2c3b4c0f6c2f1d9d1f2c3b4c0f6c2f1d9d1f2c3b4c0f6c2f",
        "risk-assessment-of-international-companies and task-internationalization-of-models",
        "hf_model, ya29, AIza, the bearer of bad news, user@host.example, C://a:b",
        "TinyLlama/TinyLlama-1.1B-Chat-v1.0 at /home/robot:x/models",
    ],
)
def test_harmless_text_stays(text: str) -> None:
    assert redact(text) == text


def test_values_of_secret_variables_are_marked_whatever_their_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_SERVICE_TOKEN", "four words of nonsense")
    monkeypatch.setenv("DB_PASSWORD", "tr0ub4dor&3")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "harmless-value")
    monkeypatch.setenv("SHORT_TOKEN", "true")

    shown = redact("true: four words of nonsense, tr0ub4dor&3, harmless-value")

    assert shown == f"true: {MARK}, {MARK}, harmless-value"


@pytest.mark.parametrize("name", SECRETS)
def test_a_config_with_a_secret_is_refused_and_the_secret_not_shown(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    (data / "train.jsonl").write_text('{"input_text": "a", "output_text": "b"}\n')
    config = tmp_path / "c.json"
    for key in ("fine_tuning.model", "data.separator", "fine_tuning.lora.target_modules"):
        section, _, last = key.rpartition(".")
        document: dict[str, object] = {last: SECRETS[name]}
        for part in reversed(section.split(".")):
            document = {part: document}
        config.write_text(json.dumps(document))
        uses = [["--config-path", str(config)], [f"{key}={json.dumps(SECRETS[name])}"]]
        for words in uses:
            assert run(["finetune", str(data), str(out), *words]) == 2
            shown = "".join(capsys.readouterr())
            assert f"'{key}' looks like a secret" in shown
            assert_no_secret(shown)
    assert not out.exists()


def test_a_secret_at_a_wrong_place_of_a_config_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.json"
    for secret in SECRETS.values():
        wrong = {"fine_tuning": {"lora": {"r": secret}}, "api_key": secret, "target": secret}
        config.write_text(json.dumps(wrong))
        assert run(["config", "check", str(config)]) == 2
        assert_no_secret("".join(capsys.readouterr()))


def test_a_run_beside_secrets_in_the_environment_keeps_none(
    tiny_llama_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for i, secret in enumerate(SECRETS.values()):
        monkeypatch.setenv(f"SERVICE_{i}_TOKEN", secret)
        monkeypatch.setenv(f"SERVICE_{i}_ADDRESS", secret)
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    row = json.dumps({"input_text": "a", "output_text": "b"}) + "\n"
    for name in ("train.jsonl", "test.jsonl"):
        (data / name).write_text(row)
    settings = [f"fine_tuning.model={tiny_llama_dir}", "fine_tuning.training.max_steps=1"]
    # The command line is kept in the lock file.
    typed = ["finetune", str(data), str(out), *settings]
    monkeypatch.setattr(sys, "argv", ["gemtune", *typed, *SECRETS.values()])

    assert run(typed) == 0
    scored = ["evaluate", str(out), str(data / "test.jsonl"), "evaluation.max_new_tokens=2"]
    assert run([*scored, "--output-dir", str(out / "scores")]) == 0

    for text in kept_texts(out):
        assert_no_secret(text)
    assert_no_secret("".join(capfd.readouterr()))
    assert MARK in (out / "run.lock").read_text("utf-8")


def kept_texts(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_bytes().decode("utf-8", "replace")


@pytest.mark.parametrize("error_class", [RuntimeError, DataError, OSError, KeyError])
def test_an_error_with_a_secret_shows_and_keeps_none(
    error_class: type[Exception],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for secret in SECRETS.values():
        for debug in (False, True):
            cause = ValueError(f"cause: {secret}")
            try:
                raise error_class(f"cannot reach {secret}") from cause
            except error_class as error:
                report_error(error, debug=debug)
            assert_no_secret("".join(capsys.readouterr()))
    for path in tmp_path.iterdir():
        assert_no_secret(path.read_text("utf-8"))
        assert "Traceback" in path.read_text("utf-8")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_record_of_a_run_keeps_no_secret(tmp_path: Path) -> None:
    errors = [{"event": "a try failed", "why": [secret]} for secret in SECRETS.values()]
    write_run(tmp_path, {"status": "stopped", "error": SECRETS["OpenAI"], "events": errors})

    assert_no_secret(json.dumps(json.loads((tmp_path / "run.json").read_text("utf-8"))))


def test_a_config_made_in_python_is_kept_without_its_secrets() -> None:
    for secret in SECRETS.values():
        project = ProjectConfig(name=secret[:63])
        config = Config(project=project, fine_tuning=FineTuningConfig(model=secret))
        assert CORES["OpenAI"] not in dump_resolved(config)
        model = json.loads(dump_resolved(config))["fine_tuning"]["model"]
        assert MARK in model
        assert_no_secret(model)


def test_the_holder_of_a_lock_is_named_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/gemtune", "finetune", *SECRETS.values()])
    path = tmp_path / "run.lock"

    with exclusive_lock(path):
        assert_no_secret(path.read_text("utf-8"))
        with pytest.raises(RunLockedError) as caught, exclusive_lock(path):
            raise AssertionError

    assert_no_secret(str(caught.value))
    assert "gemtune finetune" in str(caught.value)


def test_log_lines_hold_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging()
    try:
        for secret in SECRETS.values():
            logging.getLogger("gemtune.x").warning("asked with %s", secret)
    finally:
        logging.getLogger("gemtune").handlers = []
        logging.getLogger("gemtune").setLevel(logging.NOTSET)
    assert_no_secret("".join(capsys.readouterr()))
