"""How the web page looks; no font or script is loaded from elsewhere."""

from collections.abc import Sequence
from html import escape

import gradio as gr

CSS = """
.gradio-container {max-width: 1280px !important;}
#title h1 {font-size: 24px; margin: 0;}
#title p {margin: 2px 0 0; color: var(--body-text-color-subdued);}
#hint > div {border: 1px dashed var(--border-color-primary); border-radius: 10px;
  padding: 40px 24px; text-align: center; color: var(--body-text-color-subdued);}
#hint b {display: block; font-size: 17px; margin-bottom: 6px; color: var(--body-text-color);}
#status [role=alert] {padding: 10px 14px; border-radius: 10px; border-left: 4px solid #dc2626;
  background: var(--background-fill-secondary); overflow-wrap: anywhere;}
#status [role=status] {overflow-wrap: anywhere;}
#status .poor {color: #b45309; white-space: nowrap; font-weight: 600;}
#picture img {width: 100%; max-height: 68vh; object-fit: contain;}
"""

HINT = (
    "<div><b>No image yet</b>Drop a photograph above, or take an example. Each instance found gets "
    "three scores: how sure the class is, how good the mask is, and the product of both.</div>"
)
_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif"]


def theme() -> gr.themes.Base:
    """Return colors and fonts; the fonts are those of the visitor's system."""
    return gr.themes.Soft(primary_hue="blue", font=_FONTS, font_mono=["ui-monospace", "monospace"])


def header(model_name: str, class_names: Sequence[str]) -> str:
    """Return the title of the page as HTML.

    Args:
        model_name: name of the weights.
        class_names: the first is the background.
    """
    count = len(class_names) - 1
    classes = class_names[1] if count == 1 else f"{count} classes"
    return (
        "<h1>Mask Scoring R-CNN</h1><p>Instance segmentation that knows how good its masks are · "
        f"{escape(model_name)} ({escape(classes)})</p>"
    )
