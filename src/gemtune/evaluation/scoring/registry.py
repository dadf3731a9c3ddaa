"""All metrics that gemtune brings, and how each family of them is made."""

from collections.abc import Callable
from dataclasses import dataclass

from gemtune.evaluation.scoring.bleu import bleu_family
from gemtune.evaluation.scoring.chrf import chrf_family
from gemtune.evaluation.scoring.e2e.bleu import e2e_bleu_family
from gemtune.evaluation.scoring.e2e.cider import cider_family
from gemtune.evaluation.scoring.e2e.meteor import meteor_family
from gemtune.evaluation.scoring.e2e.nist import nist_family
from gemtune.evaluation.scoring.e2e.rouge import coco_rouge_family
from gemtune.evaluation.scoring.exact_match import exact_match_family
from gemtune.evaluation.scoring.family import Family, References
from gemtune.evaluation.scoring.json_answer import json_family
from gemtune.evaluation.scoring.label import label_family
from gemtune.evaluation.scoring.loss import loss_family
from gemtune.evaluation.scoring.number import number_family
from gemtune.evaluation.scoring.rouge import rouge_family
from gemtune.evaluation.scoring.word_counts import distinct_family, length_ratio_family


@dataclass(frozen=True, slots=True)
class Recipe:
    """A family that is not made yet, because that may cost time or need a package."""

    metrics: tuple[str, ...]
    make: Callable[[References], Family]
    """Takes the references of the whole test set."""


RECIPES = {
    "rouge": Recipe(("rouge1", "rouge2", "rougeL"), lambda references: rouge_family()),
    "bleu": Recipe(("bleu",), lambda references: bleu_family()),
    "label": Recipe(("accuracy", "macro_f1"), label_family),
    "json": Recipe(("json_valid", "json_field_f1", "json_exact"), lambda references: json_family()),
    "number": Recipe(("number_match",), lambda references: number_family()),
    "exact_match": Recipe(("exact_match",), lambda references: exact_match_family()),
    "chrf": Recipe(("chrf",), lambda references: chrf_family()),
    "loss": Recipe(("loss", "perplexity"), lambda references: loss_family()),
    "length_ratio": Recipe(("length_ratio",), lambda references: length_ratio_family()),
    "distinct": Recipe(("distinct_2",), lambda references: distinct_family()),
    "e2e_bleu": Recipe(("e2e_bleu",), lambda references: e2e_bleu_family()),
    "nist": Recipe(("nist",), nist_family),
    "coco_rougeL": Recipe(("coco_rougeL",), lambda references: coco_rouge_family()),
    "cider": Recipe(("cider",), cider_family),
    "meteor": Recipe(("meteor",), lambda references: meteor_family()),
}

SETS = {"e2e": ("e2e_bleu", "nist", "coco_rougeL", "cider")}
"""Families that are asked for together."""

FAMILY_OF = {metric: family for family, recipe in RECIPES.items() for metric in recipe.metrics}
