"""Letting a model answer a test set, and the files of its answers."""
