"""Reading, checking and converting training data."""
