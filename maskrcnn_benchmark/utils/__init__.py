"""What every part may use: processes, logs, checkpoints. Imports nothing else of this package."""
