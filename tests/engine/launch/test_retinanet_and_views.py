"""Train, test and predict with a RetinaNet, and with several views of each image."""

import logging

import numpy as np
import pytest
from PIL import Image

import maskrcnn_benchmark
from maskrcnn_benchmark.predict.predictor import Predictor
from tests.helpers.shipped_configs import CONFIGS
from tests.helpers.tiny_detector import save_checkpoint, tiny_config
from tests.tools.toy import draw_data

VIEWS = {
    "TEST.BBOX_AUG.ENABLED": True,
    "TEST.BBOX_AUG.H_FLIP": True,
    "TEST.BBOX_AUG.SCALES": (48,),
    "TEST.BBOX_AUG.MAX_SIZE": 90,
}
SETTINGS = {
    "MODEL.DEVICE": "cpu",
    "MODEL.WEIGHT": "",
    "MODEL.BACKBONE.CONV_BODY": "R-18-FPN-RETINANET",
    "MODEL.BACKBONE.OUT_CHANNELS": 8,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 8,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.RETINANET.NUM_CONVS": 1,
    "MODEL.RETINANET.INFERENCE_TH": 0.0,
    "TEST.DETECTIONS_PER_IMG": 5,
    "INPUT.MIN_SIZE_TRAIN": 64,
    "INPUT.MAX_SIZE_TRAIN": 90,
    "INPUT.MIN_SIZE_TEST": 64,
    "INPUT.MAX_SIZE_TEST": 90,
    "DATALOADER.NUM_WORKERS": 0,
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.MAX_ITER": 2,
    "SOLVER.TEST_PERIOD": 2,
    "TEST.IMS_PER_BATCH": 2,
}


@pytest.fixture(autouse=True)
def _log():
    yield
    logger = logging.getLogger("maskrcnn_benchmark")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    data = draw_data(tmp_path_factory.mktemp("toy"))
    return {
        f"toy_{split}": (data / "annotations" / f"instances_{split}.json", data / split)
        for split in ("train", "val")
    }


def test_a_retinanet_trains_is_evaluated_and_predicts(datasets, tmp_path):
    results = maskrcnn_benchmark.train(
        CONFIGS / "retinanet/retinanet_R-50-FPN_1x.yaml",
        settings=SETTINGS | VIEWS,
        datasets=datasets,
        output_dir=tmp_path,
    )
    assert list(results["toy_val"].results) == ["bbox"]
    log = (tmp_path / "log.txt").read_text()
    assert "MODEL.RETINANET.NUM_CLASSES is 7: toy_train has 6 classes" in log
    assert "bbox_AP: " in log  # chooses the best model
    predictor = Predictor.from_checkpoint(tmp_path / "model_final.pth", device="cpu")
    image = Image.open(next(datasets["toy_val"][1].glob("*.*")))
    prediction = predictor(image)
    assert len(prediction) >= 5 and prediction.size == image.size
    assert set(prediction.names) <= set(predictor.classes.class_names[1:])
    assert len(predictor.classes.class_names) == 7
    assert prediction.mask_scores is None


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("model"), tiny_config(classes=7))


def opts(settings):
    return [part for pair in settings.items() for part in pair]


def test_views_predict_in_pixels_of_the_original_image(weights):
    draw = np.random.RandomState(0).randint  # noqa: NPY002
    sizes = ((50, 75, 3), (50, 75, 3), (90, 40, 3))
    images = [Image.fromarray(draw(0, 255, size).astype(np.uint8)) for size in sizes]
    plain = Predictor.from_checkpoint(weights, device="cpu")
    predictor = Predictor.from_checkpoint(weights, opts=opts(VIEWS), device="cpu")
    together = predictor(images, batch_size=3)
    for image, one in zip(images, together, strict=True):
        alone = predictor(image)
        assert one.size == image.size and len(one) == len(alone) > 0
        np.testing.assert_allclose(one.boxes, alone.boxes, atol=1e-2)
        np.testing.assert_allclose(one.mask_scores, one.scores * one.mask_ious, rtol=1e-5)
        assert (one.boxes[:, 2:] <= np.array(image.size)).all()
        assert not np.array_equal(one.scores, plain(image).scores)


def test_views_are_evaluated_by_both_scores(weights, datasets, tmp_path):
    val = {"toy_val": datasets["toy_val"]}
    tested = {}
    for name, settings in (("views", VIEWS), ("plain", {})):
        settings = {"DATALOADER.NUM_WORKERS": 0, "TEST.IMS_PER_BATCH": 2, **settings}
        tested[name] = maskrcnn_benchmark.test(
            tiny_config(classes=7),
            weights=weights,
            settings=settings,
            datasets=val,
            output_dir=tmp_path / name,
        )["toy_val"]
    assert set(tested["views"].results) == {"bbox", "segm", "segm_by_class_score"}
    files = [(tmp_path / name / "inference/toy_val/bbox.json").read_text() for name in tested]
    assert files[0] != files[1]
