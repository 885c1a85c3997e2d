"""BoxCoder, Matcher, sampler, level mapper and pooler against recorded values."""

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.modeling.box_coder import BoxCoder
from maskrcnn_benchmark.modeling.matcher import Matcher
from maskrcnn_benchmark.modeling.poolers import LevelMapper, Pooler
from maskrcnn_benchmark.modeling.sampler import BalancedPositiveNegativeSampler
from maskrcnn_benchmark.structures.bounding_box import BoxList
from tests.helpers.vectors import load_vector


def tensors(arrays):
    return {name: torch.from_numpy(a) for name, a in arrays.items() if a.dtype.kind in "fiub"}


@pytest.mark.parametrize("name", ["box_coder_rpn", "box_coder_roi"])
def test_box_coder(name):
    meta, arrays = load_vector(name)
    t = tensors(arrays)
    coder = BoxCoder(meta["arguments"]["weights"])
    encoded = coder.encode(t["reference_boxes"], t["proposals"])
    close = {"rtol": 1e-5, "atol": 1e-4}
    torch.testing.assert_close(encoded, t["encoded"], **close)
    torch.testing.assert_close(coder.decode(t["codes"], t["proposals"]), t["decoded"], **close)
    decoded = coder.decode(t["multi_codes"], t["proposals"])
    torch.testing.assert_close(decoded, t["multi_decoded"], **close)
    torch.testing.assert_close(coder.decode(encoded, t["proposals"]), t["roundtrip"], **close)
    empty = torch.zeros(0, 4)
    assert coder.encode(empty, empty).shape == (0, 4)
    assert coder.decode(torch.zeros(0, 8), empty).shape == (0, 8)


MATCHER_CASES = load_vector("matcher")[0]["arguments"]["cases"]


@pytest.mark.parametrize("case", MATCHER_CASES, ids=lambda c: str(c["case"]))
def test_matcher(case):
    _, arrays = load_vector("matcher")
    matcher = Matcher(case["high"], case["low"], case["allow_low_quality"])
    quality = torch.from_numpy(arrays[f"quality_{case['case']}"])
    expected = arrays[f"matches_{case['case']}"]
    if quality.shape[0] == 0:
        # the original returned nothing here and then failed; everything is background
        expected = np.full(quality.shape[1], -1)
    np.testing.assert_array_equal(matcher(quality).numpy(), expected)


def test_matcher_error():
    with pytest.raises(ValueError, match="low 0.7 is above high 0.5"):
        Matcher(0.5, 0.7)


def test_balanced_sampler():
    meta, arrays = load_vector("balanced_sampler")
    arguments = meta["arguments"]
    sampler = BalancedPositiveNegativeSampler(
        arguments["batch_size_per_image"], arguments["positive_fraction"]
    )
    torch.manual_seed(arguments["torch_seed"])
    positives, negatives = sampler([torch.from_numpy(arrays[f"labels_{i}"]) for i in range(3)])
    for i in range(3):
        np.testing.assert_array_equal(positives[i], arrays[f"pos_{i}"].nonzero()[0])
        np.testing.assert_array_equal(negatives[i], arrays[f"neg_{i}"].nonzero()[0])
    empty_positive, empty_negative = sampler([torch.zeros(0)])
    assert empty_positive[0].shape == empty_negative[0].shape == (0,)


def test_level_mapper():
    _, arrays = load_vector("level_mapper")
    boxes = [BoxList(torch.from_numpy(arrays["boxes"]), (1333, 800))]
    np.testing.assert_array_equal(LevelMapper(2, 5)(boxes).numpy(), arrays["levels_2_5"])
    np.testing.assert_array_equal(LevelMapper(3, 6)(boxes).numpy(), arrays["levels_3_6"])


def test_pooler():
    meta, arrays = load_vector("pooler")
    arguments = meta["arguments"]
    pooler = Pooler(
        tuple(arguments["output_size"]), arguments["scales"], arguments["sampling_ratio"]
    )
    features = [torch.from_numpy(arrays[f"feat_{i}"]).requires_grad_() for i in range(4)]
    boxes = [BoxList(torch.from_numpy(arrays[f"boxes_{i}"]), (256, 192)) for i in range(2)]
    np.testing.assert_array_equal(pooler.to_rois(boxes).numpy(), arrays["rois"])
    out = pooler(features, boxes)
    np.testing.assert_allclose(out.detach().numpy(), arrays["out"], rtol=1e-5, atol=1e-5)
    empty = BoxList([], (256, 192))
    nothing = pooler(features, [empty, empty])
    assert nothing.shape == arrays["empty_out"].shape
    nothing.sum().backward()
    assert all(f.grad is not None and not f.grad.any() for f in features)


def test_pooler_gradient():
    torch.manual_seed(1)
    features = [
        torch.randn(1, 2, 8, 8, dtype=torch.float64, requires_grad=True),
        torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True),
    ]
    boxes = [BoxList(torch.tensor([[2.0, 3, 20, 18], [0, 0, 300, 260]]).double(), (32, 32))]
    pooler = Pooler((2, 2), (0.25, 0.125), 2)
    assert torch.autograd.gradcheck(lambda *f: pooler(f, boxes), features)
