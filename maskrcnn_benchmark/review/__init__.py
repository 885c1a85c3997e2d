"""Which annotations are probably wrong, and which images to label next, by a model's scores."""
