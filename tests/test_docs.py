"""Commands, keys, files and folders that the documentation names are there and are called so."""

import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from doc_pages import PAGES, ROOT, Passage, blocks, commands, spans, words_of

from gemtune.cli.app import _ROOT as GEMTUNE
from gemtune.config.explain import explain_key
from gemtune.config.load import load_config

MODULES = ("src.main", "gemtune")
OUTPUTS = ("output_dir", "target", "folder")
CONFIG_KEY = re.compile(
    r"(?P<key>(?:project|data|fine_tuning|evaluation|hyperparameter|monitoring)"
    r"(?:\.(?!json\b)\w+)+)(?P<value>(?:=|: ).+)?"
)
SOURCE_FILE = re.compile(r"[\w./-]+(?:\.(?:py|md|yaml|toml|txt)|(?<=\w)/)")
MAX_CHANGELOG_WORDS = 25


def places(passages: Iterable[Passage]) -> list[object]:
    return [pytest.param(words_of(found.text), id=found.place) for found in passages]


def starting_with(program: str, passages: Iterable[Passage]) -> list[Passage]:
    return [found for found in passages if found.text.startswith(f"{program} ")]


def gemtune_words(words: list[str]) -> list[str] | None:
    """What comes after `gemtune` or `python -m src.main`; None for another program."""
    if words[0] == "gemtune":
        return words[1:]
    return words[3:] if words[1:2] == ["-m"] and words[2] in MODULES else None


def find_command(words: list[str]) -> tuple[click.Command, click.Context, list[str]]:
    """Go down the groups as the command line does: the command, its context, what is left."""
    command: click.Command = GEMTUNE
    # Commands keep their first help option, so it must be the real one.
    context = click.Context(command, info_name="gemtune", **command.context_settings)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, found, words = command.resolve_command(context, words)
        assert found, f"no command {name}"
        command, context = found, click.Context(found, parent=context, info_name=name)
    return command, context, words


def parse(words: list[str], *, lenient: bool = False) -> dict[str, object]:
    """The arguments of a command, up to the point where it would run; `lenient`: those in order."""
    command, context, rest = find_command(words)
    with command.make_context(
        context.info_name, rest, parent=context.parent, resilient_parsing=lenient
    ) as parsed:
        return parsed.params


def paths_in(value: object) -> list[Path]:
    if isinstance(value, tuple):
        return [path for item in value for path in paths_in(item)]
    if isinstance(value, str) and "=" in value:
        return []
    return [Path(value)] if isinstance(value, str | Path) and "/" in str(value) else []


COMMANDS = commands()
SHOWN = [found for found in COMMANDS if gemtune_words(words_of(found.text))]


@pytest.fixture(scope="module")
def outputs() -> set[Path]:
    """What the commands that are shown write."""
    shown = (gemtune_words(words_of(found.text)) or [] for found in SHOWN)
    written = [parse(words, lenient=True) for words in shown]
    return {path for params in written for name in OUTPUTS for path in paths_in(params.get(name))}


@pytest.mark.parametrize("words", places(SHOWN))
def test_a_gemtune_command_has_valid_arguments_paths_and_keys(
    words: list[str], outputs: set[Path]
) -> None:
    params = parse(gemtune_words(words) or [])
    named = [path for value in params.values() for path in paths_in(value)]
    written = [p for p in named if outputs.intersection((p, *p.parents))]
    assert [p for p in named if p not in written and not (ROOT / p).exists()] == []
    values = [value for value in params.values() if isinstance(value, tuple)]
    files = [ROOT / p for value in values for p in value if (ROOT / p).is_file()]
    load_config(files, [word for value in values for word in value if "=" in str(word)])


SPANS = spans()
GEMTUNE_SPANS = [
    found
    for found in SPANS
    if found.text.startswith(("gemtune ", "python -m "))
    and gemtune_words(words_of(found.text.replace("...", "")))
]


@pytest.mark.parametrize("words", places(GEMTUNE_SPANS))
def test_a_command_in_the_text_exists_with_its_options(words: list[str]) -> None:
    asked = [word for word in gemtune_words(words) or [] if word != "..."]
    command, context, rest = find_command(asked)
    known = {name for option in command.get_params(context) for name in option.opts}
    assert {word for word in rest if word.startswith("-")} <= known


MAKE = starting_with("make", [*COMMANDS, *SPANS])


@pytest.mark.parametrize("words", places(MAKE))
def test_a_make_target_exists(words: list[str]) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {word for word in words[1:] if "=" not in word} <= set(targets)


SCRIPTS = [
    found
    for found in starting_with("python", [*COMMANDS, *SPANS])
    if words_of(found.text)[1].endswith(".py")
]


@pytest.mark.parametrize("words", places(SCRIPTS))
def test_a_python_script_exists_and_knows_its_options(words: list[str]) -> None:
    script = ROOT / words[1]
    # Without options of its own a script would start its work at `--help`.
    known = script_help(script) if "argparse" in script.read_text(encoding="utf-8") else ""
    assert [word for word in words[2:] if word.startswith("-") and word not in known] == []


def script_help(script: Path) -> str:
    return subprocess.run(
        [sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True, check=True,
        timeout=60, env={"PYTHONPATH": "src"},
    ).stdout  # fmt: skip


CONFIG_KEYS = [
    (found.place, match) for found in SPANS if (match := CONFIG_KEY.fullmatch(found.text))
]


@pytest.mark.parametrize("match", [pytest.param(match, id=place) for place, match in CONFIG_KEYS])
def test_a_config_key_in_the_text_exists_and_takes_the_value(match: re.Match[str]) -> None:
    explain_key(match["key"])
    if match["value"]:
        load_config((), [f"{match['key']}={match['value'].removeprefix(':').strip(' =')}"])


FILES = [found for found in SPANS if SOURCE_FILE.fullmatch(found.text)]


@pytest.mark.parametrize("found", FILES, ids=lambda found: found.place)
def test_a_source_file_or_folder_in_the_text_exists(found: Passage) -> None:
    assert any((base / found.text).exists() for base in (ROOT, ROOT / "src" / "gemtune"))


MODULE_SPANS = [found for found in SPANS if re.fullmatch(r"gemtune(\.(?!json)\w+)+", found.text)]


@pytest.mark.parametrize("found", MODULE_SPANS, ids=lambda found: found.place)
def test_a_module_in_the_text_exists(found: Passage) -> None:
    assert find_spec(found.text)


def tree() -> list[str]:
    (block,) = (block for block in blocks("") if "\nsrc/gemtune/\n" in block.text)
    return block.text.splitlines()


def test_the_tree_in_the_readme_lists_every_folder_of_the_package() -> None:
    listed = [line.split()[0] for line in tree() if line.startswith("  ")]
    folders = [
        path for path in (ROOT / "src" / "gemtune").iterdir() if (path / "__init__.py").exists()
    ]
    assert sorted(listed) == sorted(f"{path.name}/" for path in folders)


def test_what_the_tree_in_the_readme_lists_exists_and_is_explained() -> None:
    for line in tree():
        name, _, meaning = line.strip().partition(" ")
        inside = ROOT / "src" / "gemtune" if line.startswith("  ") else ROOT
        assert (inside / name).exists(), name
        assert meaning or name == "src/gemtune/", name


def test_every_page_is_reached_by_a_link() -> None:
    links = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([\w./-]+\.md)", page.read_text(encoding="utf-8"))
    }
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in links] == ["README.md"]


def test_a_line_of_the_changelog_is_one_short_sentence() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for entry in re.findall(r"^- (.*?)(?=\n- |\n\n|\n?\Z)", text, re.DOTALL | re.MULTILINE):
        assert re.fullmatch(r"[^\n]*[^.\n]\.", entry), entry
        assert len(entry.split()) <= MAX_CHANGELOG_WORDS, entry
