"""The example configuration of the plan, as it stands there."""

PLAN_EXAMPLE = """\
fine_tuning:
  model: gemini-pro  # Will be implemented with gpt2 for local testing
  method: peft
  lora:
    r: 16
    alpha: 32
    dropout: 0.1
    target_modules: ["c_attn", "c_proj"]  # For gpt2
    bias: "none"
  training:
    batch_size: 8
    learning_rate: 1.0e-5
    epochs: 3
    warmup_steps: 100
    weight_decay: 0.01
    gradient_accumulation_steps: 4
    max_grad_norm: 1.0
    fp16: true
"""
