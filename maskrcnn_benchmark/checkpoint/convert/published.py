"""Download, convert and cache published models of other projects by ``catalog://`` name."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from maskrcnn_benchmark.checkpoint.convert.conversion import Options
from maskrcnn_benchmark.checkpoint.convert.output import config_file, convert_file, write_conversion
from maskrcnn_benchmark.checkpoint.download import (
    download,
    fetch,
    is_url,
    once_per_job,
    path_for_url,
)
from maskrcnn_benchmark.checkpoint.readers import check_ending
from maskrcnn_benchmark.utils.folder_lock import one_at_a_time
from maskrcnn_benchmark.utils.imports import import_file

CATALOG = "catalog://"
_TABLE = Path(__file__).parents[2] / "config" / "model_zoo.json"


@dataclass(frozen=True)
class PublishedModel:
    """A row of ``config/model_zoo.json``.

    Attributes:
        project: mmdetection, detectron2 or torchvision.
        name: name of the model.
        family: ms_rcnn, mask_rcnn, cascade_mask_rcnn or faster_rcnn.
        backbone: name of the backbone, such as R-50.
        style: see ``Options``.
        url: URL of the file.
        box_ap: published box AP on COCO val2017.
        mask_ap: published mask AP on COCO val2017; None for a model without masks.
        sha256_prefix: first digits of the sha256 of the file; "" if not published.
        legacy_roi_align: see ``Options``.
        enum: name of torchvision's weights enum, a second name of the model; "" if there is none.
    """

    project: str
    name: str
    family: str
    backbone: str
    style: str
    url: str
    box_ap: float
    mask_ap: float | None = None
    sha256_prefix: str = ""
    legacy_roi_align: bool = False
    enum: str = ""


def published_models() -> dict[str, PublishedModel]:
    """Return the published models by name, ``<project>/<name>``."""
    table = json.loads(_TABLE.read_text(encoding="utf-8"))
    models = [PublishedModel(**row) for row in table["models"]]
    return {f"{model.project}/{model.name}": model for model in models}


def find_published(entry: str) -> PublishedModel | None:
    """Return the published model of a name without ``catalog://``; None if there is none."""
    models = published_models()
    by_enum = {f"{model.project}/{model.enum}": model for model in models.values() if model.enum}
    return (models | by_enum).get(entry)


def is_published(weights: str) -> bool:
    """Return whether a ``MODEL.WEIGHT`` is the ``catalog://`` name of a published model."""
    return weights.startswith(CATALOG) and find_published(weights.removeprefix(CATALOG)) is not None


def local_weights(name: str, folder: str | Path, catalog_file: str | Path) -> Path:
    """Return the local file for a path, URL or ``catalog://`` name.

    Missing files are downloaded, and published models of other projects are converted to a
    checkpoint with its config next to it. In a distributed job rank 0 does this while the others
    wait, so all ranks must call this function.

    Args:
        name: as in ``MODEL.WEIGHT``.
        folder: ``MODEL.PRETRAINED_MODELS``.
        catalog_file: ``PATHS_CATALOG``, whose ``ModelCatalog`` has the URLs.

    Raises:
        OSError: a file is missing or could not be downloaded.
        ValueError: the name is unknown, or the file has the wrong sha256 or cannot be converted.
    """
    folder = Path(folder)
    if not is_url(name):
        return Path(name)
    if not name.startswith(CATALOG):
        target = path_for_url(name)
        check_ending(target)
        return fetch(name, folder / target)
    entry = name.removeprefix(CATALOG)
    location = import_file("PATHS_CATALOG", catalog_file).ModelCatalog.get(entry)
    model = find_published(entry)
    if model is None:
        if not is_url(location):
            return Path(location)
        return fetch(location, folder / (entry + path_for_url(location).suffix))
    target = folder / f"{model.project}/{model.name}.pth"
    once_per_job(lambda: _make(model, location, folder, target), target)
    assumed = config_file(target).read_text(encoding="utf-8").splitlines()[1].removeprefix("# ")
    logging.getLogger(__name__).info(f"{name}: {assumed}. Saved with its config to {target}")
    return target


def _make(model: PublishedModel, location: str, folder: Path, target: Path) -> None:
    """Write the converted model and its config if they do not exist."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(target.parent):
        if target.is_file() and config_file(target).is_file():
            return
        source = Path(location)
        if is_url(location):
            source = folder / path_for_url(location)
            download(location, source)
        options = Options(style=model.style, legacy_roi_align=model.legacy_roi_align)
        write_conversion(convert_file(source, options), target, origin=model.name)
