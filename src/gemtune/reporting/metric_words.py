"""What figures mean, for readers who have never heard of them."""

_WORDS = {
    "accuracy": "share of rows with the right label",
    "bleu": "overlap of word sequences with the reference, 0 to 100",
    "chrf": "overlap of character sequences with the reference, 0 to 100",
    "cider": "overlap with the reference, rare words count more, 0 to 10",
    "coco_rougeL": "words in common with the reference, in its order, 0 to 1",
    "distinct_2": "share of word pairs that do not repeat, neither good nor bad by itself",
    "e2e_bleu": "overlap of word sequences with the reference, case aside, 0 to 100",
    "exact_match": "share of answers equal to the reference, letter by letter",
    "json_exact": "share of answers that are the wanted JSON",
    "json_field_f1": "share of JSON fields that are right, 0 to 1",
    "json_valid": "share of answers that are JSON",
    "length_ratio": "length of answers over length of references, neither good nor bad by itself",
    "loss": "how much the reference surprises the model, in nats a token",
    "macro_f1": "how well each label is found, all labels alike, 0 to 1",
    "meteor": "words in common with the reference, synonyms included, 0 to 1",
    "nist": "overlap of word sequences, informative ones count more",
    "number_match": "share of answers with the right number",
    "perplexity": "between how many words the model wavers at the reference",
    "rouge1": "words in common with the reference, 0 to 1",
    "rouge2": "word pairs in common with the reference, 0 to 1",
    "rougeL": "words in common with the reference, in its order, 0 to 1",
}

_COUNTS = {
    "n_examples": "rows",
    "n_empty": "empty answers",
    "n_truncated": "answers cut at the longest length",
    "n_prompts_truncated": "prompts cut to fit",
    "n_repeated": "answers that end in a loop",
    "n_duplicates": "answers in the words of an earlier one",
}


def metric_words(metric: str) -> str:
    """Say in a few words what is measured; nothing for a metric that gemtune does not know."""
    return _WORDS.get(metric, "")


def count_words(name: str) -> str:
    """What a count of metrics.json counts; the name itself for one that gemtune does not know."""
    return _COUNTS.get(name, name)
