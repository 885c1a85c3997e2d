"""The web page: its layout, and what happens on every action of a visitor.

Needs gradio. The results of a visitor are kept in the ``gr.State`` of the session, nowhere else.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn_benchmark.predict.predictor import Predictor
from maskrcnn_benchmark.predict.web import style, table
from maskrcnn_benchmark.predict.web.inspection import Choice, Inspection, inspect_image
from maskrcnn_benchmark.predict.web.upload import MAX_BYTES, read_upload
from maskrcnn_benchmark.structures.fields import SCORE_KINDS
from maskrcnn_benchmark.utils.user_error import MissingPackageError, UserError

try:
    import gradio as gr
except ImportError as error:
    raise MissingPackageError("the web page needs gradio: pip install gradio") from error

_log = logging.getLogger(__name__)
_KEPT_SECONDS = 3600  # files and results of a visitor who is gone
_MOST_WAITING = 32  # images; further visitors are asked to come back
_THRESHOLD = 0.5


class Actions:
    """What happens on the page. Results are returned; only the model is kept.

    Every method returns the values of the components that ``make_page`` connects it with.

    Args:
        predictor: the model.
        examples: paths of images to try.
    """

    def __init__(self, predictor: Predictor, examples: Sequence[Path]) -> None:
        self.predictor = predictor
        self.examples = examples

    def detect(self, path: str) -> list[Any]:
        """Run the model on an uploaded file; ``show`` then shows what it found."""
        name = Path(path).name
        try:
            found = inspect_image(name, read_upload(Path(path)), self.predictor)
        except UserError as error:
            return _failed(str(error))
        except Exception as error:  # the page stays usable, whatever the model ran into
            _log.exception("the model failed on %s", name)
            return _failed(f"The model failed on {name}: {type(error).__name__}: {error}")
        return [found, None, gr.skip(), gr.skip(), gr.skip()]

    def detect_example(self, index: int) -> list[Any]:
        """Run the model on an example."""
        return self.detect(str(self.examples[index]))

    @staticmethod
    def show(
        found: Inspection | None, score_key: str, threshold: float, number: int | None
    ) -> list[Any]:
        """Draw and list the detections for a choice, without running the model."""
        if found is None:
            return [gr.skip()] * 7
        choice = Choice(score_key, threshold, number)
        rows = found.rows(choice)
        return [
            gr.update(visible=False),
            gr.update(visible=True),
            table.summary(found.name, len(found.prediction), rows, choice),
            table.table(rows, choice),
            found.write_json(choice),
            *[found.write_picture(choice)] * 2,
        ]

    @staticmethod
    def highlight(
        found: Inspection | None, score_key: str, threshold: float, event: gr.EventData
    ) -> list[Any]:
        """Highlight the detection of the selected row; with none, show all alike."""
        if found is None:
            return [None, gr.skip(), gr.skip()]
        choice = Choice(score_key, threshold, event.number)
        picture = found.write_picture(choice)
        return [choice.highlighted, picture, picture]

    @staticmethod
    def pick(
        found: Inspection | None,
        score_key: str,
        threshold: float,
        number: int | None,
        event: gr.SelectData,
    ) -> list[Any]:
        """Highlight the detection at the clicked pixel of the picture."""
        if found is None:
            return [None, gr.skip(), gr.skip(), gr.skip()]
        choice = Choice(score_key, threshold)
        picked = found.number_at(choice, *event.index)
        choice = replace(choice, highlighted=None if picked == number else picked)
        picture = found.write_picture(choice)
        return [choice.highlighted, table.table(found.rows(choice), choice), picture, picture]


def _failed(message: str) -> list[Any]:
    """Return the message in place of earlier results."""
    return [None, None, gr.update(visible=True), gr.update(visible=False), table.failure(message)]


@dataclass(frozen=True)
class Parts:
    """The components of the page that change or are read, from top to bottom."""

    drop: gr.File
    examples: gr.Dataset
    hint: gr.HTML
    status: gr.HTML
    results: gr.Row
    picture: gr.Image
    score_key: gr.Radio
    threshold: gr.Slider
    rows: gr.HTML
    json: gr.DownloadButton
    png: gr.DownloadButton


def _make_parts(score_keys: Sequence[str], examples: Sequence[Path]) -> Parts:
    """Lay out the components; on a narrow screen, columns follow each other."""
    with gr.Row(equal_height=True):
        drop = gr.File(show_label=False, height=124, scale=2, min_width=300, elem_id="drop")
        dataset = gr.Dataset(
            label="Or take an example",
            components=[gr.Image(render=False)],
            samples=[[str(path)] for path in examples],
            samples_per_page=max(1, len(examples)),
            type="index",
            scale=3,
            min_width=300,
            visible=bool(examples),
            elem_id="examples",
        )
    status = gr.HTML(elem_id="status")
    hint = gr.HTML(style.HINT, elem_id="hint")
    with gr.Row(equal_height=False, visible=False) as results:
        with gr.Column(scale=3, min_width=300):
            picture = gr.Image(
                show_label=False,
                interactive=False,
                buttons=["fullscreen"],
                elem_id="picture",
                alt_text="The image with the detected instances",
            )
        with gr.Column(scale=2, min_width=300):
            with gr.Group():
                score_key = gr.Radio(
                    [(table.TITLES[key], key) for key in score_keys],
                    value=score_keys[-1],
                    label="Rank by",
                    elem_id="score_key",
                )
                threshold = gr.Slider(
                    0, 1, _THRESHOLD, step=0.01, label="At least", buttons=[], elem_id="threshold"
                )
            rows = gr.HTML(
                css_template=table.CSS,
                js_on_load=table.SCRIPT,
                apply_default_css=False,
                elem_id="instances",
            )
            with gr.Row():
                options: dict[str, Any] = {"size": "md", "min_width": 140}
                json = gr.DownloadButton("⬇ COCO JSON", elem_id="json", **options)
                png = gr.DownloadButton("⬇ Picture (PNG)", elem_id="png", **options)
    return Parts(
        drop, dataset, hint, status, results, picture, score_key, threshold, rows, json, png
    )


def _connect(parts: Parts, actions: Actions) -> None:
    """Connect the components with the actions."""
    state = gr.State(None, time_to_live=_KEPT_SECONDS)
    number = gr.State(None, time_to_live=_KEPT_SECONDS)
    chosen = [state, parts.score_key, parts.threshold]
    pictures = [parts.picture, parts.png]
    message = [parts.hint, parts.results, parts.status]
    detected = [state, number, *message]
    # one image at a time; others wait in the queue, and see their place in it on the drop zone
    model: dict[str, Any] = {
        "concurrency_limit": 1,
        "concurrency_id": "model",
        "show_progress_on": [parts.drop],
    }
    # in the order of the clicks, since later pictures replace earlier ones
    drawing: dict[str, Any] = {
        "concurrency_limit": 1,
        "concurrency_id": "drawing",
        "show_progress": "hidden",
        "trigger_mode": "always_last",
    }
    private: dict[str, Any] = {"api_visibility": "private"}
    uploaded = parts.drop.upload(actions.detect, [parts.drop], detected, api_name="detect", **model)
    taken = parts.examples.click(
        actions.detect_example, [parts.examples], detected, **private, **model
    )
    shown = [*message, parts.rows, parts.json, *pictures]
    changed = [parts.threshold.change, parts.score_key.change]
    gr.on(changed, actions.show, [*chosen, number], shown, api_name="show", **drawing)
    for found in (uploaded, taken):  # with what is chosen by then
        found.then(actions.show, [*chosen, number], shown, **private, **drawing)
    # ready for the next file
    uploaded.then(lambda: None, None, parts.drop, show_progress="hidden", **private)
    parts.rows.select(actions.highlight, chosen, [number, *pictures], **private, **drawing)
    parts.picture.select(
        actions.pick, [*chosen, number], [number, parts.rows, *pictures], **private, **drawing
    )


def make_page(predictor: Predictor, model_name: str, examples: Sequence[Path]) -> gr.Blocks:
    """Return the page of a model.

    Args:
        predictor: the model; it is run once, on a gray image.
        model_name: shown in the title.
        examples: paths of images to try.
    """
    gray = predictor(np.full((64, 64, 3), 128, np.uint8))
    keys = [key for key, kind in SCORE_KINDS.items() if getattr(gray, kind.field) is not None]
    with gr.Blocks(
        analytics_enabled=False,
        title="Mask Scoring R-CNN",
        delete_cache=(_KEPT_SECONDS // 4, _KEPT_SECONDS),
    ) as page:
        gr.HTML(style.header(model_name, predictor.classes.class_names), elem_id="title")
        _connect(_make_parts(keys, examples), Actions(predictor, examples))
    page.queue(max_size=_MOST_WAITING)
    return page


def serve(page: gr.Blocks, port: int | None, **options: Any) -> tuple[Any, str, str | None]:
    """Serve the page on this machine only; return what ``Blocks.launch`` does.

    Args:
        page: result of ``make_page``.
        port: TCP port; None: the first free one from 7860 on.
        options: of ``Blocks.launch``.
    """
    return page.launch(
        server_name="127.0.0.1",
        share=False,
        server_port=port,
        max_file_size=MAX_BYTES,
        theme=gr.themes.Soft(
            primary_hue="blue", font=style.FONTS, font_mono=["ui-monospace", "monospace"]
        ),
        css=style.CSS,
        head=style.HEAD,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        **options,
    )
