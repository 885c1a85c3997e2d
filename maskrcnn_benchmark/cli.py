"""``msrcnn COMMAND ...``: the programs of ``tools/`` as subcommands.

On several GPUs: ``torchrun --nproc-per-node=N -m maskrcnn_benchmark.cli train ...``.
"""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import NamedTuple

import maskrcnn_benchmark


class Command(NamedTuple):
    """A module with a ``main()``, and a one-line summary."""

    module: str
    summary: str


COMMANDS = {
    "demo": Command("tools.quickstart", "train a small model on drawn images and show it"),
    "train": Command("tools.train_net", "train a model, then evaluate it"),
    "test": Command("tools.test_net", "evaluate a model"),
    "predict": Command("tools.predict", "detect objects in images, videos or camera streams"),
    "inspect": Command("tools.inspect_data", "check a data set in COCO format"),
    "quality": Command("tools.mask_quality", "report how well the masks of a result are scored"),
    "compare": Command("tools.compare", "compare two models on the same data set"),
    "review": Command("tools.review_labels", "find wrong labels, or the images to label next"),
    "convert": Command("tools.convert_weights", "convert weights from other projects"),
    "analyze": Command("tools.analyze", "print parameters, FLOPs and shapes of a model"),
    "plot": Command("tools.plot_metrics", "draw the curves of training runs"),
    "env": Command("utils.collect_env", "print versions and devices for bug reports"),
}


def usage() -> str:
    """Return the usage text, with one line per command."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: msrcnn COMMAND ...",
            "",
            *lines,
            "",
            "msrcnn COMMAND --help prints the options of a command, msrcnn --version the version.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the subcommand named by the first argument, passing it the remaining arguments.

    Only the module of that command is imported. An unknown command exits with code 2.

    Args:
        argv: the arguments; None: those of the process.
    """
    name, *arguments = (sys.argv[1:] if argv is None else list(argv)) or ["--help"]
    if name in ("-h", "--help"):
        print(usage())
    elif name == "--version":
        print(f"maskrcnn_benchmark {maskrcnn_benchmark.__version__}")
    elif name in COMMANDS:
        # argparse reads the program name from here
        sys.argv = [f"msrcnn {name}", *arguments]
        import_module(f"maskrcnn_benchmark.{COMMANDS[name].module}").main()
    else:
        nearest = get_close_matches(name, COMMANDS, n=1, cutoff=0)
        sys.stderr.write(
            f"error: msrcnn has no command {name!r}; did you mean {nearest[0]}? "
            "msrcnn --help lists all of them\n"
        )
        raise SystemExit(2)


if __name__ == "__main__":
    main()
