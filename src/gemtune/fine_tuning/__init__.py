"""Adapters and the training loop."""
