"""The table of instances and the line above it, as HTML. All text from outside is escaped."""

from collections.abc import Sequence
from html import escape

import numpy as np

from maskrcnn_benchmark.predict.web.inspection import CONFIDENT, POOR, Choice, Row
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_IOU, MASK_SCORE
from maskrcnn_benchmark.visualization.colors import colors_for, ink_on
from maskrcnn_benchmark.visualization.fonts import one_line

TITLES = {CLASS_SCORE.key: "class score", MASK_IOU.key: "mask IoU", MASK_SCORE.key: "mask score"}
_MARK = f"class score of at least {CONFIDENT}, but predicted mask IoU below {POOR}"
_HOW = "Select a row, or an instance in the picture, to highlight it."
_LEGEND = (
    "Mask score = class score × predicted mask IoU. <span class=poor>⚠</span> confident but poor: "
    f"{_MARK}. {_HOW}"
)

CSS = """
table {width: 100%; border-collapse: collapse; font-size: 14px; line-height: 1.35;
  font-variant-numeric: tabular-nums;}
.scroll {max-height: 430px; overflow-y: auto; border: 1px solid var(--border-color-primary);
  border-radius: 10px;}
th {position: sticky; top: 0; z-index: 1; padding: 0; text-align: right; font-weight: 600;
  background: var(--background-fill-secondary);}
th button {all: unset; box-sizing: border-box; width: 100%; padding: 9px 8px; cursor: pointer;
  color: var(--body-text-color); white-space: nowrap;}
th button:hover {color: var(--link-text-color);}
th button:focus-visible, tbody tr:focus-visible {outline: 2px solid var(--color-accent);
  outline-offset: -2px;}
th[aria-sort=ascending] button::after {content: " ▲"; font-size: 9px;}
th[aria-sort=descending] button::after {content: " ▼"; font-size: 9px;}
th.text, td.text {text-align: left;}
td {padding: 7px 8px; text-align: right; border-top: 1px solid var(--border-color-primary);}
td.text {overflow-wrap: break-word; max-width: 180px;}
td.ranked {font-weight: 700;}
tbody tr {cursor: pointer;}
tbody tr:hover {background: var(--background-fill-secondary);}
tbody tr[aria-selected=true] {background: var(--color-accent-soft);
  box-shadow: inset 3px 0 var(--color-accent);}
.chip {display: inline-block; min-width: 24px; padding: 1px 4px; border-radius: 6px;
  text-align: center; font-size: 12px; font-weight: 700;}
.poor {font-size: 12px;}
.legend {margin: 8px 4px 0; font-size: 12px; color: var(--body-text-color-subdued);}
.none {padding: 22px 14px; text-align: center; color: var(--body-text-color-subdued);}
@media (max-width: 480px) {th button {padding: 8px 4px; font-size: 12px; white-space: normal;}
  td {padding: 7px 4px; font-size: 13px;}}
"""

# The order chosen by a click on a heading is kept when the rows change.
SCRIPT = """
let sorted = null;
const number = (cell) => parseFloat(cell.dataset.value);
function sort() {
  const body = element.querySelector('tbody');
  if (!sorted || !body) return;
  const value = (row) => row.cells[sorted.column].dataset.value;
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    return isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
  };
  const rows = [...body.rows].sort((a, b) => (sorted.down ? -1 : 1) * compare(a, b));
  body.append(...rows);
  element.querySelectorAll('th').forEach((head, column) => {
    if (column !== sorted.column) head.removeAttribute('aria-sort');
    else head.setAttribute('aria-sort', sorted.down ? 'descending' : 'ascending');
  });
}
function choose(row) {
  const was = row.getAttribute('aria-selected') === 'true';
  element.querySelectorAll('tbody tr').forEach((r) => r.setAttribute('aria-selected', 'false'));
  row.setAttribute('aria-selected', String(!was));
  trigger('select', {number: was ? null : parseInt(row.dataset.number)});
}
element.addEventListener('click', (event) => {
  const head = event.target.closest('th'), row = event.target.closest('tbody tr');
  if (head) {
    const same = head.getAttribute('aria-sort');
    const down = same ? same === 'ascending' : head.dataset.first === 'down';
    sorted = {column: head.cellIndex, down};
    sort();
  } else if (row) choose(row);
});
element.addEventListener('keydown', (event) => {
  if (event.target.matches('tbody tr') && (event.key === 'Enter' || event.key === ' ')) {
    event.preventDefault();
    choose(event.target);
  }
});
watch('value', sort);
"""


def table(rows: Sequence[Row], choice: Choice) -> str:
    """Return the table of the chosen detections; scores that are not known are left out."""
    if not rows:
        return (
            '<div class="scroll none">No instance reaches this threshold. Move it to the left.'
            "</div>"
        )
    keys = [key for key in TITLES if getattr(rows[0], key) is not None]
    heads = [("#", "up", ""), ("class", "up", "text")]
    heads += [(TITLES[key], "down", key) for key in keys]
    head = "".join(
        f'<th class="{kind}" data-first="{first}"'
        f"{' aria-sort=descending' if kind == choice.score_key else ''}>"
        f'<button type="button">{title}</button></th>'
        for title, first, kind in heads
    )
    body = "".join(_row(row, keys, choice) for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>'
        f'</table></div><p class="legend">{_LEGEND if len(keys) > 1 else _HOW}</p>'
    )


def _row(row: Row, keys: Sequence[str], choice: Choice) -> str:
    (color,) = colors_for(np.array([row.number - 1]))
    ink = ink_on(color)
    name = escape(one_line(row.name))
    chip = (
        f'<span class="chip" style="background:rgb{tuple(color.tolist())};color:rgb{ink}">'
        f"{row.number}</span>"
    )
    mark = f' <span class="poor" title="{_MARK}">⚠ poor mask</span>'
    cells = [
        f'<td data-value="{row.number}">{chip}</td>',
        f'<td class="text" data-value="{name}">{name}{mark * row.is_confident_but_poor}</td>',
    ]
    for key in keys:
        value = getattr(row, key)
        ranked = " ranked" if key == choice.score_key else ""
        cells.append(f'<td class="{key}{ranked}" data-value="{value:.6f}">{value:.2f}</td>')
    selected = str(row.number == choice.highlighted).lower()
    return (
        f'<tr data-number="{row.number}" tabindex="0" aria-selected="{selected}">'
        f"{''.join(cells)}</tr>"
    )


def summary(name: str, total: int, rows: Sequence[Row], choice: Choice) -> str:
    """Return one line on an image: its name, how many of its detections are shown and marked."""
    text = (
        f"<b>{escape(one_line(name))}</b> · {len(rows)} of {total} detections with "
        f"{in_words(choice.score_key)} ≥ {choice.threshold:.2f}"
    )
    if count := sum(row.is_confident_but_poor for row in rows):
        text += f' · <span class="poor" title="{_MARK}">⚠ {count} confident but poor</span>'
    return f'<div role="status">{text}</div>'


def in_words(score_key: str) -> str:
    """Return the name of a score."""
    return f"{'predicted ' * (score_key == MASK_IOU.key)}{TITLES[score_key]}"


def failure(message: str) -> str:
    """Return a message about a file or a model that failed."""
    return f'<div role="alert">{escape(one_line(message))}</div>'
