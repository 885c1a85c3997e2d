from maskrcnn_benchmark.modeling.roi_heads import box_predictor, fbnet_head, mask_predictor

__all__ = ["box_predictor", "fbnet_head", "mask_predictor"]  # imported to be registered
