"""The web page: its layout, and what happens on every action of a visitor.

Needs gradio. The results of a visitor are kept in the ``gr.State`` of the session, nowhere else.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn_benchmark.predict.predictor import Predictor
from maskrcnn_benchmark.predict.web import style, table
from maskrcnn_benchmark.predict.web.inspection import Choice, Inspection, inspect_image
from maskrcnn_benchmark.predict.web.upload import MAX_BYTES, read_upload
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_SCORE
from maskrcnn_benchmark.utils.user_error import MissingPackageError, UserError

try:
    import gradio as gr
except ImportError as error:
    raise MissingPackageError("the web page needs gradio: pip install gradio") from error

_log = logging.getLogger(__name__)
_KEPT_SECONDS = 3600  # files and results of a visitor who is gone
_MOST_WAITING = 32  # images; further visitors are asked to come back
_THRESHOLD = 0.5
_NO_RESULTS = [gr.skip()] * 5


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

    def detect(self, path: str, score_key: str, threshold: float) -> list[Any]:
        """Run the model on an uploaded file."""
        name = Path(path).name
        try:
            found = inspect_image(name, read_upload(Path(path)), self.predictor)
        except UserError as error:
            return _failed(str(error))
        except Exception as error:  # the page stays usable, whatever the model ran into
            _log.exception("the model failed on %s", name)
            return _failed(f"The model failed on {name}: {type(error).__name__}: {error}")
        shown = self.show(found, score_key, threshold, None)
        return [found, None, gr.update(visible=False), *shown]

    def detect_example(self, index: int, score_key: str, threshold: float) -> list[Any]:
        """Run the model on an example."""
        return self.detect(str(self.examples[index]), score_key, threshold)

    @staticmethod
    def show(
        found: Inspection | None, score_key: str, threshold: float, number: int | None
    ) -> list[Any]:
        """Draw and list the detections for a choice, without running the model."""
        if found is None:
            return _NO_RESULTS
        choice = Choice(score_key, threshold, number)
        rows = found.rows(choice)
        return [
            gr.update(value=found.write_picture(choice), visible=True),
            table.summary(found.name, len(found.prediction), rows, choice),
            table.table(rows, choice),
            gr.update(value=found.write_json(choice), interactive=True),
            gr.update(value=found.write_picture(choice), interactive=True),
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
        return [choice.highlighted, picture, picture, table.table(found.rows(choice), choice)]


def _failed(message: str) -> list[Any]:
    """Return the message in place of earlier results."""
    off = gr.update(value=None, interactive=False)
    picture = gr.update(value=None, visible=False)
    return [None, None, gr.update(visible=True), picture, table.failure(message), "", off, off]


def make_page(predictor: Predictor, model_name: str, examples: Sequence[Path]) -> gr.Blocks:
    """Return the page of a model.

    Args:
        predictor: the model; it is run once, on a gray image.
        model_name: shown in the title.
        examples: paths of images to try.
    """
    gray = predictor(np.full((64, 64, 3), 128, np.uint8))
    keys = list(table.TITLES) if gray.mask_ious is not None else [CLASS_SCORE.key]
    default = MASK_SCORE.key if MASK_SCORE.key in keys else CLASS_SCORE.key
    actions = Actions(predictor, examples)
    with gr.Blocks(
        analytics_enabled=False,
        title="Mask Scoring R-CNN",
        delete_cache=(_KEPT_SECONDS // 4, _KEPT_SECONDS),
    ) as page:
        gr.HTML(style.header(model_name, predictor.classes.class_names), elem_id="title")
        state = gr.State(None, time_to_live=_KEPT_SECONDS)
        number = gr.State(None, time_to_live=_KEPT_SECONDS)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320):
                drop = gr.File(show_label=False, height=110, elem_id="drop")
                hint = gr.HTML(style.HINT, elem_id="hint")
                picture = gr.Image(
                    show_label=False,
                    visible=False,
                    interactive=False,
                    buttons=["fullscreen"],
                    elem_id="picture",
                    alt_text="The image with the detected instances",
                )
                dataset = gr.Dataset(
                    label="Examples",
                    components=[gr.Image(render=False)],
                    samples=[[str(path)] for path in examples],
                    type="index",
                    visible=bool(examples),
                    elem_id="examples",
                )
            with gr.Column(scale=2, min_width=320):
                status = gr.HTML(elem_id="status")
                threshold = gr.Slider(
                    0,
                    1,
                    _THRESHOLD,
                    step=0.01,
                    label="Show instances with at least",
                    buttons=[],
                    elem_id="threshold",
                )
                score_key = gr.Radio(
                    [(table.in_words(key), key) for key in keys],
                    value=default,
                    label="of",
                    elem_id="score_key",
                )
                rows = gr.HTML(
                    css_template=table.CSS,
                    js_on_load=table.SCRIPT,
                    elem_id="instances",
                    apply_default_css=False,
                )
                with gr.Row():
                    json = gr.DownloadButton(
                        "COCO JSON", interactive=False, elem_id="json", size="md"
                    )
                    png = gr.DownloadButton(
                        "Picture (PNG)", interactive=False, elem_id="png", size="md"
                    )
        results = [picture, status, rows, json, png]
        chosen = [score_key, threshold]
        model = {"concurrency_limit": 1, "concurrency_id": "model", "show_progress_on": [drop]}
        everything = [state, number, hint, *results]
        uploaded = drop.upload(
            actions.detect, [drop, *chosen], everything, api_name="detect", **model
        )
        uploaded.then(lambda: None, None, drop, api_visibility="private", show_progress="hidden")
        quiet = {
            "show_progress": "hidden",
            "trigger_mode": "always_last",
            "api_visibility": "private",
        }
        dataset.click(
            actions.detect_example,
            [dataset, *chosen],
            everything,
            api_visibility="private",
            **model,
        )
        gr.on(
            [threshold.change, score_key.change],
            actions.show,
            [state, *chosen, number],
            results,
            **quiet,
        )
        rows.select(actions.highlight, [state, *chosen], [number, picture, png], **quiet)
        picture.select(
            actions.pick, [state, *chosen, number], [number, picture, png, rows], **quiet
        )
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
        server_port=port,
        max_file_size=MAX_BYTES,
        theme=style.theme(),
        css=style.CSS,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        **options,
    )
