"""P25: nothing is pickled or unpickled, and nothing from outside is run as code."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gemtune.config.schema import DataConfig
from gemtune.errors import ArtefactError
from gemtune.models.load import load_model_for_generation
from gemtune.models.source import find_source

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for name in ("src", "scripts") for path in (ROOT / name).rglob("*.py"))
# A benchmark may let another tool save as it does; it must not read that with pickle itself.
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))
PICKLING_MODULES = {
    "_pickle", "cloudpickle", "cPickle", "dill", "joblib", "jsonpickle", "marshal", "pickle",
    "pickle5", "shelve",
}  # fmt: skip
RUNNING_FUNCTIONS = {"compile", "eval", "exec", "__import__"}
PICKLING_CALLS = {
    "torch.load", "torch.save", "torch.jit.load", "torch.hub.load", "torch.package",
    "numpy.load", "np.load", "pandas.read_pickle", "pd.read_pickle",
}  # fmt: skip
PICKLED_FILES = [
    "adapter_model.bin", "adapter_model.pt", "pytorch_model.bin", "pytorch_model.bin.index.json",
    "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "model.ckpt",
    "tokenizer.pkl", "consolidated.00.pth",
]  # fmt: skip


def findings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every place that pickles, unpickles or runs text, as (line, what)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Attribute):
            yield from ((node.lineno, name) for name in names_in(node) if is_pickling(name))
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in RUNNING_FUNCTIONS:
                yield node.lineno, name
            case ast.keyword(arg="weights_only", value=value):
                yield value.lineno, "weights_only"
            case ast.keyword(arg="allow_pickle" | "trust_remote_code", value=value):
                if not (isinstance(value, ast.Constant) and value.value is False):
                    yield value.lineno, str(node.arg)


def names_in(node: ast.Import | ast.ImportFrom | ast.Attribute) -> list[str]:
    """The dotted names of modules and of what is taken from them."""
    match node:
        case ast.Import(names=names):
            return [name.name for name in names]
        case ast.ImportFrom(module=module, names=names):
            return [str(module), *(f"{module}.{name.name}" for name in names)]
        case _:
            return [ast.unparse(node)]


def is_pickling(name: str) -> bool:
    return name.partition(".")[0] in PICKLING_MODULES or name in PICKLING_CALLS


@pytest.mark.parametrize("path", [*SOURCES, *BENCHMARKS], ids=lambda path: str(path.name))
def test_no_file_pickles_or_runs_text(path: Path) -> None:
    found = list(findings(ast.parse(path.read_text("utf-8"))))

    assert found == [], f"{path}:{found[0][0]}"


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "import dill as d", "from joblib import load", "import shelve, os",
        "torch.load(path)", "from torch import load", "x = torch.save", "np.load(path)",
        "eval(text)", "exec(text)", "__import__(name)", "from marshal import loads",
        "f(trust_remote_code=True)", "f(trust_remote_code=config.x)", "f(allow_pickle=True)",
        "torch.jit.load(path)", "compile(a, b, c)", "f(weights_only=False)",
    ],
)  # fmt: skip
def test_the_search_finds_every_way(line: str) -> None:
    assert list(findings(ast.parse(line)))


@pytest.mark.parametrize("line", ["json.loads(x)", "re.compile(x)", "model.eval()", "load(path)"])
def test_the_search_is_not_shy_of_its_own_shadow(line: str) -> None:
    assert not list(findings(ast.parse(line)))


@pytest.fixture
def plant(pickle_trap: bytes) -> Callable[[Path], None]:
    """Lay a malicious pickle under every name that some tool would open."""

    def lay(folder: Path) -> None:
        for name in PICKLED_FILES:
            (folder / name).write_bytes(pickle_trap)

    return lay


def test_pickles_beside_a_model_are_never_opened(
    tiny_llama_dir: Path,
    copy_of: Callable[[Path], Path],
    plant: Callable[[Path], None],
    canary: Path,
) -> None:
    folder = copy_of(tiny_llama_dir)
    plant(folder)

    load_model_for_generation(folder, revision=None, precision="fp32")

    assert not canary.exists()


def test_pickles_beside_an_adapter_are_never_opened(
    tiny_llama_dir: Path,
    save_adapter: Callable[[Path, DataConfig], Path],
    plant: Callable[[Path], None],
    canary: Path,
) -> None:
    folder = save_adapter(tiny_llama_dir, DataConfig())
    plant(folder)

    load_model_for_generation(folder, revision=None, precision="fp32")

    assert not canary.exists()


@pytest.mark.parametrize("weights", ["model.safetensors", "adapter_model.safetensors"])
def test_a_folder_with_pickles_alone_is_refused(
    tiny_llama_dir: Path,
    copy_of: Callable[[Path], Path],
    save_adapter: Callable[[Path, DataConfig], Path],
    plant: Callable[[Path], None],
    canary: Path,
    weights: str,
) -> None:
    is_adapter = weights.startswith("adapter")
    folder = save_adapter(tiny_llama_dir, DataConfig()) if is_adapter else copy_of(tiny_llama_dir)
    plant(folder)
    (folder / weights).unlink()

    with pytest.raises(ArtefactError) as caught:
        load_model_for_generation(folder, revision=None, precision="fp32")

    assert caught.value.exit_code == 4
    assert not canary.exists()


@pytest.mark.parametrize("name", PICKLED_FILES)
def test_a_pickle_named_as_the_model_is_refused(
    tmp_path: Path, pickle_trap: bytes, canary: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(pickle_trap)

    with pytest.raises(ArtefactError, match="is a file, but not a GGUF file"):
        find_source(str(tmp_path / name))

    assert not canary.exists()


def test_a_pickle_named_safetensors_is_refused(
    tiny_llama_dir: Path, copy_of: Callable[[Path], Path], pickle_trap: bytes, canary: Path
) -> None:
    folder = copy_of(tiny_llama_dir)
    (folder / "model.safetensors").write_bytes(pickle_trap)

    with pytest.raises(ArtefactError, match="cannot be read"):
        load_model_for_generation(folder, revision=None, precision="fp32")

    assert not canary.exists()
