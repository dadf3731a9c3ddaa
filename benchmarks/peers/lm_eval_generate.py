"""A peer of `eval_speed.py`: the HF backend of lm-eval, as its tasks call it.

It runs in an environment of its own, which `eval_speed.py` explains; it prints wall and
CPU seconds of decoding, peak memory and the texts as one line of JSON.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance  # pyrefly: ignore[missing-import]
from lm_eval.models.huggingface import HFLM  # pyrefly: ignore[missing-import]


def main() -> None:
    """Decode what the spec says."""
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(spec["threads"])
    model: Any = HFLM(
        pretrained=spec["model"],
        device="cpu",
        dtype=spec["dtype"],
        batch_size=spec["batch_size"],
        max_length=2048,
    )
    model.generate_until(requests(spec, spec["prompts"][:2]), disable_tqdm=True)
    started, cpu_before = time.perf_counter(), time.process_time()
    texts = model.generate_until(requests(spec, spec["prompts"]), disable_tqdm=True)
    result = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_before,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    print(json.dumps(result | {"texts": [text.strip() for text in texts]}))


def requests(spec: dict[str, Any], prompts: list[str]) -> list[Any]:
    """What a task of the kind `generate_until` asks for."""
    settings = {
        "until": [spec["stop_text"]],
        "max_gen_toks": spec["max_new_tokens"],
        "do_sample": False,
    }
    return [
        Instance(request_type="generate_until", doc={}, arguments=(prompt, settings), idx=i)
        for i, prompt in enumerate(prompts)
    ]


if __name__ == "__main__":
    main()
