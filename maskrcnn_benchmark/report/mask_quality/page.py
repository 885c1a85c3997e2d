"""The text of a mask-quality report."""

from collections.abc import Sequence

from maskrcnn_benchmark.evaluation.coco_results import AP_METRICS
from maskrcnn_benchmark.evaluation.matched_masks import MatchedMasks
from maskrcnn_benchmark.report.mask_quality import figures
from maskrcnn_benchmark.report.mask_quality.numbers import (
    ALL,
    BEST,
    CONFIDENT,
    FOUND,
    ORACLE,
    Json,
    groups_of,
    head_room,
)
from maskrcnn_benchmark.report.page import Captioned, Page
from maskrcnn_benchmark.report.values import decimal, percent, points, share, signed
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_IOU, MASK_SCORE, SCORE_KINDS

Pictures = dict[str, list[Captioned]]  # by over_rated, under_rated

_GROUPS = {
    ALL: "all masks",
    FOUND: "found an object",
    CONFIDENT: "found, class score > 0.5",
}
_SIZES = {"APs": "small", "APm": "medium", "APl": "large"}


def quality_page(content: Json, matched: MatchedMasks, pictures: Pictures) -> Page:
    """Return the page of a report.

    Args:
        content: the numbers, as in the json.
        matched: the masks.
        pictures: of the over-rated and under-rated masks; empty without images.
    """
    counts = f"{content['masks']} masks on {content['images']} images with {content['objects']}"
    page = Page(content["title"], f"{counts} objects.")
    page.facts(_facts(content))
    for sentence in content["unknown"]:
        page.note(sentence)
    _explain_terms(page, content)
    _write_scatter(page, content, matched)
    _write_calibration(page, content)
    _write_ap(page, content)
    _write_classes(page, content)
    _write_kept(page, content)
    _write_pictures(page, content, pictures)
    return page


def _facts(content: Json) -> list[tuple[str, str]]:
    """Return the numbers that a reader looks for first, as far as they are known."""
    room = content["head_room"]["AP"]
    found = content["correlation"][FOUND]
    facts = [
        (f"mask AP ranked by {figures.NAMES[key]}", percent(content["ap"][key]["AP"]))
        for key in (CLASS_SCORE.key, MASK_SCORE.key)
        if key in content["ap"]
    ]
    if room["gain"] is not None:
        facts.append(("AP gained by the mask score", points(room["gain"])))
    if room["reached"] is not None:
        facts.append(("of the oracle's head-room reached", f"{100 * room['reached']:.0f} %"))
    if MASK_IOU.key in found:
        value = found[MASK_IOU.key]["pearson"]
        facts.append(("correlation of predicted and true mask IoU", decimal(value)))
    elif CLASS_SCORE.key in found:
        value = found[CLASS_SCORE.key]["pearson"]
        facts.append(("correlation of class score and true mask IoU", decimal(value)))
    if content["calibration"]:
        facts.append(("calibration error (ECE)", decimal(content["calibration"][FOUND]["ece"], 3)))
    return facts


def _explain_terms(page: Page, content: Json) -> None:
    page.text(
        "The true mask IoU of a mask is its IoU with the annotated object of its class that it "
        "overlaps most, and 0 if there is none. It has found an object if its box and that of an "
        "object of its class have an IoU above 0.5."
    )
    if content["not_judged"]:
        page.text(
            f"{content['not_judged']} masks lie at least by half in a crowd or on an object "
            "without a mask, where COCO judges nothing. They are left out, except in AP."
        )


def _write_scatter(page: Page, content: Json, matched: MatchedMasks) -> None:
    page.section("Does the score tell the mask IoU?")
    chosen = groups_of(matched)[FOUND]
    if not chosen.any():
        page.note("No mask found an object: there is nothing to compare.")
        return
    drawn = []
    for key in (MASK_IOU.key, CLASS_SCORE.key):
        if key in matched.scores:
            name = figures.NAMES[key]
            r = content["correlation"][FOUND][key]["pearson"]
            figure = figures.draw_density(
                matched.scores[key][chosen],
                matched.true_ious[chosen],
                name=name,
                title=f"Pearson correlation {decimal(r)}",
            )
            caption = f"True mask IoU against {name}, for the {chosen.sum()} masks that found an "
            drawn.append((figure, caption + "object. On the dashed line the two are equal."))
    page.figures(drawn)
    keys = [key for key in SCORE_KINDS if key in matched.scores]
    header = ["", "masks", "mean true IoU", *(figures.NAMES[key] for key in keys)]
    rows = [
        [_GROUPS[name], str(one["count"]), decimal(one["mean_true"])]
        + [f"{decimal(one[key]['pearson'])} / {decimal(one[key]['spearman'])}" for key in keys]
        for name, one in content["correlation"].items()
    ]
    page.table(
        header,
        rows,
        "Correlation of each score with the true mask IoU, Pearson's (linear) / Spearman's (of "
        "ranks): 1 is perfect, 0 is none.",
    )


def _write_calibration(page: Page, content: Json) -> None:
    groups = [name for name, one in content["calibration"].items() if one["count"]]
    if not groups:
        return
    page.section("Is the predicted mask IoU calibrated?")
    page.text(
        "Masks are put into ten bins by their predicted IoU. In a calibrated model the mean true "
        "IoU of a bin (bar and dot) is its mean predicted IoU (dashed line); red is the gap. The "
        "expected calibration error is the mean gap, weighted by the number of masks in the bin:"
    )
    page.formula(
        "ECE = Σ over bins b of (masks in b / all masks) · |mean predicted − mean true| in b"
    )
    drawn = []
    for name in (FOUND, ALL):
        if name not in groups:
            continue
        one = content["calibration"][name]
        figure = figures.draw_reliability(one, f"{_GROUPS[name]}: ECE {decimal(one['ece'], 3)}")
        drawn.append((figure, f"Reliability of the predicted mask IoU: {_GROUPS[name]}."))
    page.figures(drawn)
    rows = [
        [
            _GROUPS[name],
            str(one["count"]),
            decimal(one["ece"], 3),
            signed(one["bias"]),
            decimal(one["mae"], 3),
        ]
        for name, one in content["calibration"].items()
    ]
    page.table(
        ["", "masks", "ECE", "bias", "mean |error|"],
        rows,
        "Bias is the mean predicted minus the mean true IoU: above 0, the model is too optimistic. "
        "The last column is the mean |predicted − true| of single masks.",
    )


def _write_ap(page: Page, content: Json) -> None:
    if not content["ap"]:
        return
    page.section("What does the ranking bring?")
    if ORACLE in content["ap"]:
        page.text(
            "AP of the same masks in different orders. The oracle ranks by class score times true "
            "mask IoU: what a perfect prediction of the mask IoU would reach. Its lead over the "
            "class score is the head-room; the share of it that the mask score gains is reached."
        )
        page.formula(
            "reached = (AP by mask score − AP by class score) / (AP by oracle − AP by class score)"
        )
    rows = [
        [figures.NAMES[key], *(percent(values[metric]) for metric in AP_METRICS)]
        for key, values in content["ap"].items()
    ]
    rooms = [content["head_room"][metric] for metric in AP_METRICS]
    if any(room["gain"] is not None for room in rooms):
        rows.append(["gain by the mask score", *(points(room["gain"]) for room in rooms)])
    if any(room["head_room"] is not None for room in rooms):
        rows.append(["head-room", *(points(room["head_room"]) for room in rooms)])
    if any(room["reached"] is not None for room in rooms):
        rows.append(["reached", *(share(room["reached"]) for room in rooms)])
    header = ["ranked by", *(f"{m} ({_SIZES[m]})" if m in _SIZES else m for m in AP_METRICS)]
    page.table(header, rows, "COCO's metrics in percent; differences in points.")
    if not any(content["ap_by_iou"]["ap"].values()):
        page.note("There is no annotated object with a mask, so AP is undefined.")
        return
    drawn = [
        (
            figures.draw_precision(curves, f"mask IoU of at least {iou}"),
            f"Precision at each recall, where a mask counts as found from an IoU of {iou} on. The "
            "higher curve has the better order.",
        )
        for iou, curves in content["precision"].items()
    ]
    caption = "AP is the mean of such a curve, COCO's AP the mean over these IoU thresholds."
    page.figures([*drawn, (figures.draw_thresholds(content["ap_by_iou"]), caption)])


def _write_classes(page: Page, content: Json) -> None:
    by_class = content["ap_per_class"]
    if len(by_class) < 2:
        return
    page.section("AP of each class")
    keys = list(content["ap"])
    rows = []
    for name, aps in by_class.items():
        room = head_room(aps)
        row = [name, *(percent(aps[key]) for key in keys)]
        row += [points(room["gain"])] if MASK_SCORE.key in keys and CLASS_SCORE.key in keys else []
        row += [points(room["head_room"]), share(room["reached"])] if ORACLE in keys else []
        rows.append(row)
    header = ["class", *(f"by {figures.NAMES[key]}" for key in keys)]
    header += ["gain"] if MASK_SCORE.key in keys and CLASS_SCORE.key in keys else []
    header += ["head-room", "reached"] if ORACLE in keys else []
    page.table(header, rows, "In percent; gain and head-room in points.")


def _write_kept(page: Page, content: Json) -> None:
    if not content["kept"][ALL][BEST]["curve"]:
        return
    page.section("How good are the masks that are kept?")
    page.text(
        "Whoever uses only the most trusted masks trades number for quality. The curves show the "
        "mean true IoU of the masks kept, from the best-scored ones alone to all; the score whose "
        "curve is higher chooses better masks. The area is the mean of a curve."
    )
    drawn = [(FOUND, "Masks that found an object."), (ALL, "All masks: a false one has IoU 0.")]
    page.figures(
        [
            (figures.draw_kept(content["kept"][name], _GROUPS[name]), caption)
            for name, caption in drawn
            if content["kept"][name][BEST]["curve"]
        ]
    )
    keys = list(content["kept"][ALL])
    rows = [
        [_GROUPS[name], *(decimal(of_group[key]["area"], 3) for key in keys)]
        for name, of_group in content["kept"].items()
    ]
    page.table(["area below the curve", *(figures.NAMES[key] for key in keys)], rows)


def _write_pictures(page: Page, content: Json, pictures: Pictures) -> None:
    """Show the over-rated and under-rated masks, or list them if there are no images."""
    for name, heading, text in (
        ("over_rated", "The most over-rated masks", "above"),
        ("under_rated", "The most under-rated masks", "below"),
    ):
        if not content[name]:
            continue
        page.section(heading)
        page.text(
            f"Among the masks that found an object with a class score above 0.5, those whose "
            f"predicted IoU is furthest {text} the true one, the furthest one of each object."
            + (" Left: the annotation. Right: the predicted mask." if name in pictures else "")
        )
        if name in pictures:
            page.pictures(pictures[name])
        else:
            page.table(
                ["image", "annotation", "class", "predicted IoU", "true IoU"],
                _listed(content[name]),
            )


def _listed(masks: Sequence[Json]) -> list[list[str]]:
    return [
        [
            one["file_name"],
            str(one["annotation_id"]),
            one["category"],
            decimal(one[MASK_IOU.key]),
            decimal(one["true_iou"]),
        ]
        for one in masks
    ]
