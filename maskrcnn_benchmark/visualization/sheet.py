"""Contact sheets: several images in one."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from maskrcnn_benchmark.visualization.text import title_bar

Picture = NDArray[np.uint8]  # [H, W, 3] RGB


def _fitted(picture: Picture, width: int, height: int) -> Picture:
    """Return the image scaled to fit, centered on white: [height, width, 3]."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    cell = np.full((height, width, 3), 255, np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    cell[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=way)
    return cell


def contact_sheet(
    pictures: Sequence[Picture],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 3,
    cell_size: tuple[int, int] = (640, 480),
    gap: int = 8,
) -> Picture:
    """Arrange images of any size in a grid on white, in reading order, with titles above.

    Args:
        pictures: uint8 RGB images, at least one.
        titles: one line per image.
        columns: maximum number of cells per row.
        cell_size: (width, height) that each image is scaled to fit.
        gap: white pixels between cells.

    Raises:
        ValueError: there is no image.
    """
    if not pictures:
        raise ValueError("a contact sheet needs at least one image")
    width, height = cell_size
    cells = [_fitted(picture, width, height) for picture in pictures]
    if titles is not None:
        bars = [title_bar(title, width, max(13, width // 40)) for title in titles]
        cells = [np.concatenate(pair) for pair in zip(bars, cells, strict=True)]
    columns = min(columns, len(cells))
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % columns)
    framed = [np.pad(c, ((gap, 0), (gap, 0), (0, 0)), constant_values=255) for c in cells]
    rows = [np.concatenate(framed[i : i + columns], axis=1) for i in range(0, len(cells), columns)]
    sheet = np.concatenate(rows)
    return np.pad(sheet, ((0, gap), (0, gap), (0, 0)), constant_values=255)
