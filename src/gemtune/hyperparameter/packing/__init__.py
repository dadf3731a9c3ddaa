"""Several adapters trained in one pass through the base that they share."""
