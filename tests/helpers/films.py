"""Small videos."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np


def variable_rate(path: Path, times: Sequence[float]) -> None:
    """Write 80 x 60 frames shown at the given times in seconds, rounded to milliseconds."""
    import av  # the tests that need it are left out where it is missing

    tick = Fraction(1, 1000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 80, 60, "yuv420p"
        stream.codec_context.time_base = tick
        for number, seconds in enumerate(times):
            picture = np.full((60, 80, 3), 10 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(seconds / tick), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
