from maskrcnn_benchmark.modeling.rpn import fbnet_head

__all__ = ["fbnet_head"]  # imported to be registered
