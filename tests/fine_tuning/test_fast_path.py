"""What a CPU computes faster than the models' own code is the same to 1e-6 in fp32."""

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig as PeftLoraConfig
from peft import get_peft_model
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from gemtune.config.schema import FineTuningConfig, LoraConfig
from gemtune.fine_tuning import fused_lora
from gemtune.fine_tuning.dropout import CpuDropout, replace_dropout
from gemtune.fine_tuning.fused_lora import fuse_lora_layers
from gemtune.fine_tuning.head_loss import head_loss
from gemtune.fine_tuning.masters import MasterWeights
from gemtune.fine_tuning.rows import Row
from gemtune.fine_tuning.setup import setup_peft_model
from gemtune.fine_tuning.step import accumulate_gradients, mean_loss
from gemtune.models import row_attention
from gemtune.models.attention import choose_attention
from gemtune.models.fused_norms import FusedRmsNorm, fuse_rms_norms
from gemtune.models.row_attention import attends_by_row, can_attend_by_row

MakeRows = Callable[..., list[Row]]
CPU = torch.device("cpu")
LORA_WEIGHTS = ("lora_A.default.weight", "lora_B.default.weight")


def adapted(base: PreTrainedModel, lora: LoraConfig, *, fast: bool) -> PreTrainedModel:
    """A model in training mode with an adapter that is not zero; `fast` as in a run on a CPU."""
    base.config.sliding_window = 1024
    if fast:
        choose_attention(base, CPU, 1024)
    peft_model = setup_peft_model(base, FineTuningConfig(lora=lora))
    if fast:
        replace_dropout(peft_model)
        fuse_lora_layers(peft_model)
        fuse_rms_norms(peft_model)
    model = peft_model.get_base_model()
    assert isinstance(model, PreTrainedModel)
    random = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.05, generator=random)
    for module in model.modules():
        if isinstance(module, nn.Dropout | CpuDropout):
            module.p = 0.0
    return model.train()


def loss_and_gradients(model: PreTrainedModel, rows: list[Row], max_tokens: int) -> list[Tensor]:
    masters = MasterWeights(model, model.dtype)
    loss = accumulate_gradients(model, masters, rows, max_tokens=max_tokens, seed=0, step=0)
    gradients = [w.grad.double() for w in masters.weights.values() if w.grad is not None]
    assert len(gradients) == len(masters.weights)
    return [torch.tensor(loss, dtype=torch.float64), *gradients]


def relative_difference(found: list[Tensor], wanted: list[Tensor]) -> float:
    gap = sum(float((f - w).square().sum()) for f, w in zip(found, wanted, strict=True))
    return (gap / sum(float(w.square().sum()) for w in wanted)) ** 0.5


@pytest.mark.parametrize("max_tokens", [1, 60, 10_000])
@pytest.mark.parametrize("targets", ["attention", "all-linear"])
def test_the_fast_path_gives_the_loss_and_gradient_of_the_plain_one(
    base: PreTrainedModel, make_rows: MakeRows, targets: str, max_tokens: int
) -> None:
    rows, lora = make_rows(9), LoraConfig(r=4, target_modules=targets)
    wanted = loss_and_gradients(adapted(base, lora, fast=False), rows, 10_000)
    model = adapted(base, lora, fast=True)
    assert attends_by_row(model)
    assert relative_difference(loss_and_gradients(model, rows, max_tokens), wanted) < 1e-6


@pytest.mark.parametrize("family", sorted(row_attention._MODEL_TYPES))
def test_every_family_that_attends_by_row_keeps_its_gradient(
    family: str, make_rows: MakeRows
) -> None:
    config = AutoConfig.for_model(
        family,
        vocab_size=268,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=256,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(config).float().eval()
    rows, lora = make_rows(6), LoraConfig(r=4)
    wanted = loss_and_gradients(adapted(base, lora, fast=False), rows, 10_000)
    model = adapted(base, lora, fast=True)
    assert attends_by_row(model)
    assert relative_difference(loss_and_gradients(model, rows, 100), wanted) < 1e-6


@pytest.mark.parametrize(
    "lora",
    [
        LoraConfig(r=4, use_dora=True),
        LoraConfig(r=4, bias="all"),
        LoraConfig(r=4, bias="lora_only"),
        LoraConfig(r=4, use_rslora=True, alpha=7.0),
    ],
    ids=["dora", "all biases", "biases of adapted layers", "rslora"],
)
def test_every_kind_of_adapter_has_the_same_gradient_on_the_fast_path(
    llama: PreTrainedModel, make_rows: MakeRows, lora: LoraConfig
) -> None:
    rows = make_rows(5)
    wanted = loss_and_gradients(adapted(llama, lora, fast=False), rows, 10_000)
    found = loss_and_gradients(adapted(llama, lora, fast=True), rows, 100)
    assert relative_difference(found, wanted) < 1e-6


def test_rows_too_long_for_plain_scores_have_the_same_loss(
    llama: PreTrainedModel, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, lora = make_rows(9), LoraConfig(r=4)
    wanted = loss_and_gradients(adapted(llama, lora, fast=False), rows, 10_000)
    monkeypatch.setattr("gemtune.models.row_attention.LONGEST_PLAIN_TOKENS", 10)
    found = loss_and_gradients(adapted(llama, lora, fast=True), rows, 100)
    assert relative_difference(found, wanted) < 1e-6


def test_validation_on_the_fast_path_has_the_plain_loss(
    base: PreTrainedModel, make_rows: MakeRows
) -> None:
    rows = make_rows(9)
    wanted = mean_loss(adapted(base, LoraConfig(r=4), fast=False), rows, max_tokens=10_000)
    found = mean_loss(adapted(base, LoraConfig(r=4), fast=True), rows, max_tokens=60)
    assert found == pytest.approx(wanted, rel=1e-6)


def test_dropped_inputs_give_the_gradient_of_what_was_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    kept = torch.rand(7, 12) > 0.4
    monkeypatch.setattr(fused_lora, "draw_mask", lambda shape, p: kept.view(shape))
    model = get_peft_model(
        nn.Sequential(nn.Linear(12, 9)), PeftLoraConfig(r=3, target_modules=["0"], lora_dropout=0.4)
    )
    name = "base_model.model.0"
    weight, bias, a, b = (
        model.get_parameter(f"{name}.{part}")
        for part in ("base_layer.weight", "base_layer.bias", *LORA_WEIGHTS)
    )
    nn.init.normal_(b)
    fuse_lora_layers(model)
    x = torch.randn(7, 12, requires_grad=True)
    # PEFT's scaling is alpha / r, and alpha is 8 unless somebody says otherwise.
    plain = functional.linear(x, weight, bias) + 8 / 3 * ((x * kept / 0.6) @ a.t() @ b.t())
    found = model.get_submodule(name).train()(x)
    torch.testing.assert_close(found, plain)
    upstream = torch.randn(7, 9)
    torch.testing.assert_close(
        torch.autograd.grad(found, [a, b, x], upstream),
        torch.autograd.grad(plain, [a, b, x], upstream),
    )


def test_attention_dropout_gives_the_gradient_of_what_was_kept(
    tiny_gpt2_dir: str, make_rows: MakeRows
) -> None:
    """The same masks again by the same seed, so the loss is a function one can differentiate."""
    config = AutoConfig.from_pretrained(str(tiny_gpt2_dir))
    config.attn_pdrop, config.embd_pdrop, config.resid_pdrop = 0.3, 0.0, 0.0
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(config)
    choose_attention(base, CPU, 1024)
    peft_model = setup_peft_model(base, FineTuningConfig(lora=LoraConfig(r=4)))
    model = peft_model.get_base_model().double().train()
    assert isinstance(model, PreTrainedModel)
    masters = MasterWeights(model, torch.float64)
    rows = make_rows(4)
    name = next(n for n, p in model.named_parameters() if p.requires_grad and "lora_B" in n)
    parameter = dict(model.named_parameters())[name]

    def loss() -> float:
        return accumulate_gradients(model, masters, rows, max_tokens=1000, seed=3, step=1)

    loss()
    gradient = masters.weights[name].grad
    assert gradient is not None
    gradient = gradient.clone()
    direction, size = gradient / gradient.norm(), 1e-4
    parameter.data += size * direction
    above = loss()
    parameter.data -= 2 * size * direction
    below = loss()
    assert (above - below) / (2 * size) == pytest.approx(gradient.norm().item(), rel=1e-3)


def test_the_loss_of_hidden_states_is_the_cross_entropy_of_their_logits() -> None:
    torch.manual_seed(0)
    h = torch.randn(150, 16, requires_grad=True)
    weight, bias, targets = torch.randn(40, 16), torch.randn(40), torch.randint(0, 40, (150,))
    wanted = functional.cross_entropy(h @ weight.t() + bias, targets, reduction="sum")
    found = head_loss(h, weight, bias, targets)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)
    torch.testing.assert_close(
        torch.autograd.grad(found / 7, h), torch.autograd.grad(wanted / 7, h), rtol=1e-4, atol=1e-6
    )


def test_a_fused_norm_is_the_norm_it_replaces() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(LlamaRMSNorm(24, eps=1e-5))
    plain = model[0]
    assert isinstance(plain, LlamaRMSNorm)
    plain.weight.data.normal_()
    plain.weight.requires_grad_(False)
    x, upstream = torch.randn(5, 3, 24, requires_grad=True), torch.randn(5, 3, 24)
    wanted = plain(x)
    fuse_rms_norms(model)
    assert isinstance(model[0], FusedRmsNorm)
    assert model[0].weight is plain.weight
    found = model[0](x)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(
        torch.autograd.grad(found, x, upstream), torch.autograd.grad(wanted, x, upstream)
    )


def test_a_window_shorter_than_a_row_keeps_the_models_own_attention(tiny_gemma_dir: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(str(tiny_gemma_dir))
    model.config.sliding_window = 30
    assert can_attend_by_row(model, 30)
    assert not can_attend_by_row(model, 31)


def test_an_unknown_family_keeps_its_own_attention(
    llama: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gemtune.models.row_attention._MODEL_TYPES", frozenset({"gpt2"}))
    before = llama.config._attn_implementation
    choose_attention(llama, CPU, 1024)
    assert llama.config._attn_implementation == before


class ScaledRMSNorm(LlamaRMSNorm):
    """Looks like a norm that is known, and is not."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Twice as much."""
        return 2 * super().forward(hidden_states)


class CentredRMSNorm(LlamaRMSNorm):
    """Takes the mean away before."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Of what is left."""
        return super().forward(hidden_states - hidden_states.mean(-1, keepdim=True))


@pytest.mark.parametrize("kind", [ScaledRMSNorm, CentredRMSNorm])
def test_a_norm_that_computes_something_else_is_left_alone(kind: type[LlamaRMSNorm]) -> None:
    model = nn.Sequential(kind(24, eps=1e-5))
    fuse_rms_norms(model)
    assert type(model[0]) is kind


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_norm_is_known_in_every_number_format(dtype: torch.dtype) -> None:
    model = nn.Sequential(LlamaRMSNorm(24, eps=1e-5)).to(dtype)
    nn.init.normal_(model.get_parameter("0.weight"))
    fuse_rms_norms(model)
    assert isinstance(model[0], FusedRmsNorm)


class DoubledLinear(nn.Linear):
    """A linear layer of a library that does more than multiply."""

    def forward(self, input: Tensor) -> Tensor:
        """Twice as much."""
        return 2 * super().forward(input)


def with_lora(layer: nn.Module) -> nn.Module:
    """A layer in training with an adapter that is not zero."""
    torch.manual_seed(0)
    model = get_peft_model(nn.Sequential(layer), PeftLoraConfig(r=3, target_modules=["0"]))
    nn.init.normal_(model.get_parameter("base_model.model.0.lora_B.default.weight"))
    return model.train()


def test_a_layer_that_does_more_than_multiply_keeps_its_own_code() -> None:
    model, x = with_lora(DoubledLinear(12, 9)), torch.randn(7, 12)
    wanted = model(x)
    fuse_lora_layers(model)
    torch.testing.assert_close(model(x), wanted)


def test_a_layer_whose_forward_was_replaced_keeps_it() -> None:
    layer = nn.Linear(12, 9)
    plain = layer.forward
    layer.forward = lambda input: 2 * plain(input)
    model, x = with_lora(layer), torch.randn(7, 12)
    wanted = model(x)
    fuse_lora_layers(model)
    torch.testing.assert_close(model(x), wanted)


def test_a_layer_that_a_model_keeps_in_fp32_works_beside_a_bf16_adapter() -> None:
    model = with_lora(nn.Linear(12, 9))
    for name, parameter in model.named_parameters():
        if "lora" in name:
            parameter.data = parameter.data.bfloat16()
    x = torch.randn(7, 12)
    wanted = model(x)
    fuse_lora_layers(model)
    torch.testing.assert_close(model(x), wanted)


def test_no_tokens_at_all_are_no_error() -> None:
    """As in an expert that nothing reached."""
    model, x = with_lora(nn.Linear(12, 9)), torch.empty(2, 0, 12, requires_grad=True)
    fuse_lora_layers(model)
    out = model(x)
    assert out.shape == (2, 0, 9)
    out.sum().backward()


@pytest.mark.parametrize(
    ("name", "value"), [("is_causal", False), ("use_bidirectional_attention", True)]
)
def test_a_model_that_sees_later_tokens_keeps_its_own_attention(
    llama: PreTrainedModel, name: str, value: bool
) -> None:
    assert can_attend_by_row(llama, 30)
    setattr(llama.config, name, value)
    assert not can_attend_by_row(llama, 30)
