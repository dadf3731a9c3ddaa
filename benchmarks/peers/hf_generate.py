"""A peer of `eval_speed.py`: `generate` of transformers, one prompt at a time or in batches.

    python benchmarks/peers/hf_generate.py SPEC.json

Prints wall and CPU seconds of decoding, peak memory and the texts as one line of JSON.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase


def main() -> None:
    """Decode what the spec says, in the way that it says."""
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(spec["threads"])
    tokenizer: Any = AutoTokenizer.from_pretrained(spec["model"], padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(spec["model"], dtype=getattr(torch, spec["dtype"]))
    model.eval()
    decode = WAYS[spec["way"]]
    decode(model, tokenizer, spec, spec["prompts"][:2])
    started, cpu_before = time.perf_counter(), time.process_time()
    texts = decode(model, tokenizer, spec, spec["prompts"])
    result = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_before,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    print(json.dumps(result | {"texts": texts}))


def loop(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    spec: dict[str, Any],
    prompts: list[str],
    **sampling: Any,
) -> list[str]:
    """The plan's `evaluate_model`: a call of `generate` for each row."""
    texts = []
    for prompt in prompts:
        inputs = tokenizer(prompt, return_tensors="pt")
        with torch.no_grad():
            output = model.generate(
                inputs.input_ids,
                attention_mask=inputs.attention_mask,
                max_new_tokens=spec["max_new_tokens"],
                pad_token_id=tokenizer.eos_token_id,
                **sampling,
            )
        texts.append(_text(tokenizer, output[0, inputs.input_ids.shape[1] :]))
    return texts


def batches(
    model: Any, tokenizer: PreTrainedTokenizerBase, spec: dict[str, Any], prompts: list[str]
) -> list[str]:
    """Batches padded on the left, longest prompts first."""
    order = sorted(range(len(prompts)), key=lambda i: -len(tokenizer(prompts[i])["input_ids"]))
    texts = {}
    for first in range(0, len(order), spec["batch_size"]):
        batch = order[first : first + spec["batch_size"]]
        inputs = tokenizer([prompts[i] for i in batch], return_tensors="pt", padding=True)
        with torch.inference_mode():
            output = model.generate(
                **inputs,
                max_new_tokens=spec["max_new_tokens"],
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
        for i, row in zip(batch, output[:, inputs.input_ids.shape[1] :], strict=True):
            texts[i] = _text(tokenizer, row)
    return [texts[i] for i in range(len(prompts))]


def _text(tokenizer: PreTrainedTokenizerBase, token_ids: torch.Tensor) -> str:
    text = tokenizer.decode(token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return str(text).strip()


WAYS: dict[str, Callable[..., list[str]]] = {
    "sampling loop": lambda *parts: loop(*parts, do_sample=True, temperature=0.7),
    "greedy loop": lambda *parts: loop(*parts, do_sample=False),
    "batches": batches,
}

if __name__ == "__main__":
    main()
