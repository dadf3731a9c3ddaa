r"""Speed of answering a test set on a CPU: gemtune against transformers, lm-eval, the plan's loop.

Everybody answers the same prompts (E2E test set, chat template of SmolLM2-135M-Instruct) with the
same checkpoint in the same number format, greedily, 64 new tokens at most, and stops at the same
token. Each contestant runs in a process of its own, all in turn, several times; loading is not
counted. Peers run at several batch sizes, and the best of each counts. A result counts only with
its texts: the table says how many equal those of gemtune, and of one-by-one decoding.

    python benchmarks/eval_speed.py [--rows 128] [--repeats 1] [--dtypes float32 bfloat16]
                                    [--batch-sizes 64 128] [--loop-rows 12] [--threads 2]
                                    [--lm-eval-python PYTHON]

lm-eval wants an environment of its own, which sees the same torch and transformers as this one:

    python3.11 -m venv .venv-lm-eval
    .venv/bin/python -c "import site; print(site.getsitepackages()[0])" \
        > .venv-lm-eval/lib/python3.11/site-packages/gemtune.pth
    .venv-lm-eval/bin/pip install -c constraints.txt lm-eval==0.4.13
    python benchmarks/eval_speed.py --lm-eval-python .venv-lm-eval/bin/python
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from gemtune.config.schema import EvaluationConfig
from gemtune.models.source import model_folder

PEERS = Path(__file__).parent / "peers"
E2E_TEST = Path(__file__).parents[1].parent / "shared" / "datasets" / "e2e" / "test.jsonl"
INSTRUCTION = "Describe the restaurant in one sentence: "
MAX_NEW_TOKENS = 64
REFERENCE, AS_WRITTEN = "the plan's loop, greedy", "the plan's loop, sampling"
Result = dict[str, Any]


def main() -> None:
    """Run all contestants in turn, several times, and print a table for each number format."""
    options = parse_options()
    if not E2E_TEST.exists():
        sys.exit(f"skipped: {E2E_TEST} is not there")
    base = common_spec(options)
    all_runs: dict[str, dict[str, list[Result]]] = {}
    for dtype in options.dtypes:
        runs = all_runs.setdefault(dtype, {})
        for _ in range(options.repeats):
            for name, peer, changes in contestants(options):
                spec = base | {"dtype": dtype} | changes
                if "loop" in spec.get("way", "") and options.loop_rows:
                    spec["prompts"] = spread(base["prompts"], options.loop_rows)
                result = run_peer(options, peer, spec) | {"n_rows": len(spec["prompts"])}
                runs.setdefault(name, []).append(result)
                print(f"{dtype} {name}: {result['seconds']:.1f} s", file=sys.stderr, flush=True)
        print_table(dtype, runs, base["prompts"], options)
    if "float32" in all_runs:
        as_written = median_of(all_runs["float32"][AS_WRITTEN], "seconds")
        for dtype, runs in all_runs.items():
            ratio = as_written / median_of(runs["gemtune"], "seconds")
            print(f"gemtune in {dtype}: {ratio:.1f}x the plan's loop as written (float32)")


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=128, help="0 for all 630")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--loop-rows", type=int, default=12, help="0 for all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--lm-eval-python")
    return parser.parse_args()


def contestants(options: argparse.Namespace) -> list[tuple[str, str, Result]]:
    """Name, script and settings of each."""
    found: list[tuple[str, str, Result]] = [
        ("gemtune", "gemtune_generate.py", {}),
        (AS_WRITTEN, "hf_generate.py", {"way": "sampling loop"}),
        (REFERENCE, "hf_generate.py", {"way": "greedy loop"}),
    ]
    for size in options.batch_sizes:
        spec = {"way": "batches", "batch_size": size}
        found.append((f"HF generate, batch {size}", "hf_generate.py", spec))
        if options.lm_eval_python:
            found.append((f"lm-eval, batch {size}", "lm_eval_generate.py", {"batch_size": size}))
    return found


def common_spec(options: argparse.Namespace) -> Result:
    """What is the same for all contestants."""
    from transformers import AutoTokenizer

    folder = str(model_folder("smollm2-135m", None, with_weights=True))
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    lines = E2E_TEST.read_text(encoding="utf-8").splitlines()
    inputs = list(dict.fromkeys(json.loads(line)["input_text"] for line in lines))
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": INSTRUCTION + text}],
            add_generation_prompt=True,
            tokenize=False,
        )
        for text in spread(inputs, options.rows)
    ]
    return {
        "model": folder,
        "prompts": prompts,
        "stop_text": tokenizer.eos_token,
        "max_new_tokens": MAX_NEW_TOKENS,
        "batch_tokens": EvaluationConfig().batch_tokens,
        "threads": options.threads,
    }


def spread(rows: list[str], n_wanted: int) -> list[str]:
    """`n_wanted` of the rows, evenly spread."""
    n_wanted = min(n_wanted or len(rows), len(rows))
    return [rows[i * len(rows) // n_wanted] for i in range(n_wanted)]


def run_peer(options: argparse.Namespace, peer: str, spec: Result) -> Result:
    """Run a script with a spec; its last line of output is its result."""
    is_lm_eval = peer == "lm_eval_generate.py"
    python = options.lm_eval_python if is_lm_eval else sys.executable
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.json"
        path.write_text(json.dumps(spec), encoding="utf-8")
        done = subprocess.run(
            [python, str(PEERS / peer), str(path)],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | offline | {"OMP_NUM_THREADS": str(options.threads)},
        )
    if done.returncode:
        sys.exit(f"{peer} failed:\n{done.stderr[-2000:]}")
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result | {"text_of": dict(zip(spec["prompts"], result["texts"], strict=True))}


def print_table(
    dtype: str, runs: dict[str, list[Result]], prompts: list[str], options: argparse.Namespace
) -> None:
    """Print medians, ratios, memory, and how many texts are those of gemtune and of the loop."""
    wall, cpu = (
        {name: median_of(found, key) for name, found in runs.items()}
        for key in ("seconds", "cpu_seconds")
    )
    print(
        f"\nSmolLM2-135M-Instruct, {dtype}, E2E test, {len(prompts)} prompts, {MAX_NEW_TOKENS} new"
        f" tokens, {options.threads} threads, median of {options.repeats} interleaved runs"
    )
    print(
        "| who | rows/s | gemtune: x as fast | x less CPU | peak GiB | texts as gemtune | as loop |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, found in runs.items():
        peak = statistics.median(run["peak_gib"] for run in found)
        same = [equal_texts(found[0], runs[other][0]) for other in ("gemtune", REFERENCE)]
        ratios = [seconds[name] / seconds["gemtune"] for seconds in (wall, cpu)]
        print(
            f"| {name} | {1 / wall[name]:.2f} | {ratios[0]:.2f} | {ratios[1]:.2f} | {peak:.1f}"
            f" | {' | '.join(same)} |"
        )
    for group in ("HF generate", "lm-eval"):
        times = [seconds for name, seconds in wall.items() if name.startswith(group)]
        if times:
            print(f"best {group}: gemtune is {min(times) / wall['gemtune']:.2f}x as fast")


def median_of(runs: list[Result], key: str) -> float:
    """The median of what a row took."""
    return statistics.median(run[key] / run["n_rows"] for run in runs)


def equal_texts(first: Result, second: Result) -> str:
    """How many of the prompts that both answered have the same text, as "x/N"."""
    both = first["text_of"].keys() & second["text_of"].keys()
    return f"{sum(first['text_of'][p] == second['text_of'][p] for p in both)}/{len(both)}"


if __name__ == "__main__":
    main()
