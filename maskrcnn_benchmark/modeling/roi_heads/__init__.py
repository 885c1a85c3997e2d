from maskrcnn_benchmark.modeling.roi_heads import (
    box_predictor,
    cascade_mask_head,
    fbnet_head,
    mask_predictor,
)

__all__ = ["box_predictor", "cascade_mask_head", "fbnet_head", "mask_predictor"]  # registered
