"""The offline half: makes the model from the user's own recordings."""
