"""A second opinion on pairs of answers, by a model; never part of a verdict."""
