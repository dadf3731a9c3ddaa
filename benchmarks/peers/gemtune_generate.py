"""gemtune's side of `eval_speed.py`: what `gemtune evaluate` decodes with.

Prints wall and CPU seconds of decoding, peak memory and the texts as one line of JSON.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gemtune.models.generate import generate_answers


def main() -> None:
    """Decode what the spec says."""
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(spec["threads"])
    tokenizer: Any = AutoTokenizer.from_pretrained(spec["model"])
    model = AutoModelForCausalLM.from_pretrained(spec["model"], dtype=getattr(torch, spec["dtype"]))
    decode(model, tokenizer, spec, spec["prompts"][:2])
    started, cpu_before = time.perf_counter(), time.process_time()
    texts = decode(model, tokenizer, spec, spec["prompts"])
    result = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_before,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    print(json.dumps(result | {"texts": texts}))


def decode(model: Any, tokenizer: Any, spec: dict[str, Any], prompts: list[str]) -> list[str]:
    """From prompts to texts, as the evaluation does it."""
    found = generate_answers(
        model,
        [tokenizer(prompt)["input_ids"] for prompt in prompts],
        stop_token_ids=[tokenizer.eos_token_id],
        pad_token_id=tokenizer.pad_token_id,
        max_new_tokens=spec["max_new_tokens"],
        batch_tokens=spec["batch_tokens"],
    )
    return [
        tokenizer.decode(
            list(answer.token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        ).strip()
        for answer in found
    ]


if __name__ == "__main__":
    main()
