"""How the web page looks; no font or script is loaded from elsewhere."""

from collections.abc import Sequence
from html import escape

# `[data-testid=upload-text]` is gradio's text of a file component, which has no option for it
CSS = """
.gradio-container {max-width: 1280px !important;}
#title, #status, #hint, #instances, .html-container {padding: 0 !important;}
#title h1 {font-size: 24px; margin: 0;}
#title p {margin: 2px 0 0; color: var(--body-text-color-subdued);}
#drop [data-testid=upload-text] {font-size: 0;}
#drop [data-testid=upload-text] span:not(.icon-wrap) {display: none;}
#drop [data-testid=upload-text]::after {content: "Drop an image here, or click"; font-size: 16px;
  font-weight: 600; margin-top: 6px;}
.cards {display: flex; flex-wrap: wrap; gap: 12px;}
.cards section {flex: 1 1 220px; padding: 22px 20px; border-radius: 10px;
  border: 1px dashed var(--border-color-primary);}
#hint h2 {margin: 0 0 4px; font-size: 16px;}
#hint p {margin: 0; color: var(--body-text-color-subdued);}
#status:not(:has([role])) {display: none;}
#status [role] {overflow-wrap: anywhere; font-size: 15px;}
#status [role=alert] {padding: 10px 14px; border: 1px solid #dc2626; border-radius: 8px;}
.poor {color: #b45309; white-space: nowrap; font-weight: 600;}
.dark .poor {color: #fbbf24;}
#picture img {width: 100%; max-height: 62vh; object-fit: contain; cursor: pointer;}
@media (max-width: 480px) {
  #examples .gallery {flex-wrap: nowrap; overflow-x: auto;}
  #examples .gallery > * {flex: none;}
  #score_key label {padding: 6px 8px !important;}
  #score_key .wrap {gap: 6px;}
}
"""

# gradio confines CSS to the components, and this is around them
HEAD = """<style>
@media (max-width: 480px) {.gradio-container .main.fillable {padding: 14px !important;}}
</style>"""

HINT = """<div class="cards">
<section><h2>Class score</h2><p>How sure the model is of the class. It says little about the mask.
</p></section>
<section><h2>Mask IoU</h2><p>How much of the object the mask covers, and no more: the model's own
estimate, 1 is perfect.</p></section>
<section><h2>Mask score</h2><p>The product of both. Ranked by it, good masks come first.</p>
</section>
</div>"""
# of the visitor's system
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif"]


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
