from maskrcnn_benchmark.modeling.roi_heads import cascade_mask_head

__all__ = ["cascade_mask_head"]  # imported to be registered
