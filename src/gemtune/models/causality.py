"""Whether a model predicts a token without having seen it."""

import torch
from transformers import PreTrainedModel

from gemtune.errors import ConfigError

_N_TOKENS = 8
# Rounding may differ a little, such as where experts get other numbers of tokens.
_LARGEST_SHARE = 0.02


@torch.no_grad()
def require_causal(model: PreTrainedModel) -> None:
    """Make sure that the last token changes nothing before it.

    BERT and its like load as language models too; they would learn to copy the answer, with a
    wonderful loss.

    Raises:
        ConfigError: the model sees later tokens.
    """
    was_training = model.training
    first = torch.arange(1, _N_TOKENS + 1, device=model.device)
    second = torch.cat([first[:-1], first[:1]])
    one, other = (
        model.eval()(input_ids=token_ids[None], use_cache=False).logits[0].float()
        for token_ids in (first, second)
    )
    model.train(was_training)
    change = (one - other).abs().amax(-1)
    if change[:-1].max() > _LARGEST_SHARE * change[-1]:
        raise ConfigError(
            f"{type(model).__name__} sees the tokens that it is to predict, so it cannot be "
            "trained as a language model",
            fix="choose a decoder-only model for fine_tuning.model; where the architecture has "
            "it, is_decoder in the model's config.json makes it one",
        )
