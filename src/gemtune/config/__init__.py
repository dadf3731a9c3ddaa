"""The configuration: what keys exist, how files and overrides become it, what they are for."""
