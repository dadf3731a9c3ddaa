"""From two scored sides to differences, intervals and a verdict."""
