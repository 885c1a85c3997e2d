"""Weights and checkpoints: reading, loading, saving, downloading, converting."""
