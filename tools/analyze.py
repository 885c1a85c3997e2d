"""Parameters, FLOPs and shapes of a model: ``python tools/analyze.py --config-file FILE``."""

from collections.abc import Sequence

from maskrcnn_benchmark.engine.launch import analyze
from maskrcnn_benchmark.engine.launch.analysis import Analysis
from maskrcnn_benchmark.engine.launch.arguments import argument_parser, run_arguments
from maskrcnn_benchmark.utils.user_error import failures_named

HEADER = ("part", "parameters", "trainable", "GFLOPs", "output")
LEGEND = (
    "GFLOPs: torch's counter, a multiply-add is 2. Counted: convolutions (deformable ones too), "
    "linear layers.\nNot counted: norms, activations, upsampling, max-pooling, ROIAlign, anchors, "
    "box decoding, NMS, pasting."
)


def table(analysis: Analysis) -> str:
    """Return the parts as text in columns, with their sum."""
    rows = [HEADER]
    for name, parameters, trainable, flops, shapes in [*analysis.parts, analysis.total]:
        first, *rest = [str(list(shape)) for shape in shapes] or [""]
        rows.append((name, f"{parameters:,}", f"{trainable:,}", f"{flops / 1e9:.2f}", first))
        rows += [("", "", "", "", shape) for shape in rest]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  "
        + "  ".join(f"{row[i]:>{widths[i]}}" for i in (1, 2, 3))
        + f"  {row[4]}".rstrip()
        for row in rows
    )


@failures_named()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argument_parser("Print parameters, FLOPs and shapes of a model, part by part.")
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="of the padded image")
    args = parser.parse_args(argv)
    given = run_arguments(args)
    del given["local_rank"]  # there is one process
    analysis = analyze(**given, size=args.size)
    height, width = analysis.size
    print(f"One image [1, 3, {height}, {width}]\n\n{table(analysis)}\n\n{LEGEND}")


if __name__ == "__main__":
    main()
