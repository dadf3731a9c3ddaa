"""The search for better hyperparameters, and the proof that they are better."""
