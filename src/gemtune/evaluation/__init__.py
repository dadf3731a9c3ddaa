"""Scores of models, and proof that one is better than another."""
