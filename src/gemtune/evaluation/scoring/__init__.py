"""Metrics: what each one counts in a row, and how sums of such counts become scores."""
