"""From two result files to the comparison on disk."""

from collections.abc import Sequence
from pathlib import Path

from maskrcnn_benchmark.report.annotations import read_annotations
from maskrcnn_benchmark.report.comparison.compare import Comparison, Settings, compare_results
from maskrcnn_benchmark.report.comparison.page import PAGE, write_comparison
from maskrcnn_benchmark.report.comparison.results import names_of, read_model
from maskrcnn_benchmark.report.folder import make_folder
from maskrcnn_benchmark.utils.user_error import MissingFileError


def report_comparison(  # noqa: PLR0913 - settings by keyword
    results: Sequence[Path],
    annotations: str | Path,
    output: str | Path,
    *,
    images: str | Path | None = None,
    names: Sequence[str] | None = None,
    settings: Settings | None = None,
) -> tuple[Comparison, Path]:
    """Compare two result files or folders and write ``comparison.html`` and ``comparison.json``.

    Args:
        results: of two models, see ``report.detections``.
        annotations: json in COCO's format.
        output: folder; created if needed.
        images: folder of the images; None: the page has no pictures.
        names: of both models; None: see ``names_of``.
        settings: None: the default.

    Returns:
        The comparison, and the page.

    Raises:
        OSError: a file is missing, or the folder cannot be written to.
        ValueError: a file cannot be read, or the results have nothing in common.
    """
    make_folder(output)
    if images is not None and not Path(images).is_dir():
        raise MissingFileError(f"the folder of images {images} does not exist")
    coco = read_annotations(annotations)
    shown = names_of(results) if names is None else names
    a, b = (read_model(path, name, coco) for path, name in zip(results, shown, strict=True))
    comparison = compare_results(a, b, settings or Settings())
    write_comparison(comparison, output, images=images)
    return comparison, Path(output) / PAGE
