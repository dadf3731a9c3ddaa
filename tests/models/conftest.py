"""Crafted models for the tests of this room."""

from crafted_models import canary, copy_of, gguf_without, pickle_trap, tiny_gguf

__all__ = ["canary", "copy_of", "gguf_without", "pickle_trap", "tiny_gguf"]
