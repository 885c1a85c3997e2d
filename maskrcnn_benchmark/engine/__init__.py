"""The loops: training and inference. Model, data and optimizer come as arguments."""
