"""Checks of the documents: snippets run, commands and settings are valid, links and names exist."""

import ast
import contextlib
import importlib
import io
import json
import logging
import re
import shlex
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from maskrcnn_benchmark.cli import COMMANDS
from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.data.synthetic import write_synthetic_coco
from maskrcnn_benchmark.engine.launch import start, user_modules
from maskrcnn_benchmark.engine.launch.arguments import argument_parser
from maskrcnn_benchmark.modeling.detector import build_detection_model, derive_settings
from tests.helpers.whole_check import check_whole

ROOT = Path(__file__).parent.parent
# the history in CHANGELOG.md names what is gone
OTHERS = ("README", "INSTALL", "CONTRIBUTING", "MODEL_ZOO", "csrc/README", "benchmarks/README")
PAGES = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
PAGES += [f"{name}.md" for name in OTHERS]
MS_RCNN_CONFIG = ROOT / "configs/e2e_ms_rcnn_R_50_FPN_1x.yaml"
FASTER_RCNN_CONFIG = ROOT / "configs/e2e_faster_rcnn_R_50_FPN_1x.yaml"
DEMO_CONFIG = ROOT / "configs/demo/ms_rcnn_synthetic.yaml"
EXTENDING = "docs/EXTENDING.md"
LOSSES = ROOT / "tests/reference/training_losses_pennfudan.json"

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
KEY = re.compile(r"\b(?:MODEL|INPUT|DATASETS|DATALOADER|SOLVER|TEST)(?:\.[A-Z][A-Z0-9_]*)+")
FILE = re.compile(r"`((?:configs|tools|tests|benchmarks|demo|csrc|maskrcnn_benchmark)/[\w./-]+)`")
QUOTED = re.compile(r"`([a-zA-Z]+(?: [\w,]+){2,})`")
TORCHS = ("Address already in use",)  # quoted messages that do not come from this code


def read(page: str) -> str:
    return (ROOT / page).read_text()


def prose(page: str) -> str:
    return BLOCK.sub("", read(page))


def blocks(page: str, language: str) -> list[str]:
    return [match[2] for match in BLOCK.finditer(read(page)) if match[1] == language]


def shell_commands(page: str) -> list[list[str]]:
    """Return the words of each command in blocks without a language."""
    lines = "\n".join(blocks(page, "")).replace("\\\n", " ").splitlines()
    return [as_tool(words) for line in lines if (words := shlex.split(line))]


def as_tool(words: list[str]) -> list[str]:
    """Replace an msrcnn command by its file in tools/."""
    for name in ("msrcnn", "maskrcnn_benchmark.cli"):
        if name in words:
            before, (command, *after) = words[: words.index(name)], words[words.index(name) + 1 :]
            return [*before, f"{COMMANDS[command].module.replace('.', '/')}.py", *after]
    return words


@cache
def defined_names(path: Path) -> set[str]:
    """Return the top-level names of a Python file, and ``Class.method``."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{n.name}" for n in node.body if isinstance(n, ast.FunctionDef)}
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


@cache
def source_texts() -> str:
    """Return all string constants of the package and the tools, to check quoted messages."""
    texts = []
    for folder in ("maskrcnn_benchmark", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text())
            texts += [
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            ]
    return "\n".join(texts)


def check_settings(pairs: list[str], config_file: Path) -> None:
    """Merge ``KEY VALUE`` pairs over a config and check the whole."""
    cfg = make_default_config()
    cfg.merge_from_file(config_file)
    cfg.merge_from_list(pairs)
    if cfg.MODEL.BACKBONE.CONV_BODY.startswith("timm:"):
        pytest.importorskip("timm")
    derive_settings(cfg)  # as the tools do
    check_whole(cfg)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub generates for the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_pages_are_there():
    wanted = {"METHOD", "DATA", "TRAINING", "EVALUATION", "TROUBLESHOOTING", "ABSTRACTIONS"}
    wanted |= {"EXTENDING", "FBNET"}
    assert {f"docs/{name}.md" for name in wanted} <= set(PAGES)


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the output of ``make demo``, with an untrained model."""
    folder = tmp_path_factory.mktemp("docs")
    demo = folder / "output/demo"
    write_synthetic_coco(demo / "data", num_train=1, num_val=5, seed=0)
    (demo / "inference/synthetic_val").mkdir(parents=True)
    for name in ("bbox.json", "segm.json"):
        (demo / "inference/synthetic_val" / name).write_text("[]")
    cfg = make_default_config()
    cfg.merge_from_file(DEMO_CONFIG)
    torch.manual_seed(0)
    content = {"model": build_detection_model(cfg).state_dict(), "config": cfg.dump()}
    torch.save(content, demo / "model_final.pth")
    return folder


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python") and p != "README.md"])
def test_snippets_run_and_print_what_the_page_shows(page, demo_folder, tmp_path, monkeypatch):
    (tmp_path / "output").symlink_to(demo_folder / "output")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    log = logging.getLogger("maskrcnn_benchmark")
    monkeypatch.setattr(start, "setup_logger", lambda *_: log)  # it writes to stdout
    names: dict[str, object] = {"__name__": Path(page).stem}
    found = [(match[1], match[2]) for match in BLOCK.finditer(read(page))]
    for (language, code), (next_language, shown) in zip(found, [*found[1:], ("", "")], strict=True):
        if language != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, page, "exec"), names)
        expected = shown if next_language == "text" else ""
        assert printed.getvalue() == expected, code


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for text, target in LINK.findall(prose(page)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        assert path.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(path), f"{page}: no heading for #{anchor} in {path.name}"
        if path.suffix == ".py":
            # one form for all references to code: [`name`](../path/to/file.py)
            code = re.fullmatch(r"`([\w.]+)`", text)
            assert code, f"{page}: the text of a link to code is the name in backticks, not {text}"
            known = code[1] in defined_names(path) or code[1] == path.stem
            assert known, f"{page}: {path.relative_to(ROOT)} does not define {code[1]}"


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page):
    for name in FILE.findall(prose(page)):
        assert (ROOT / name).exists(), f"{page}: {name}"


@pytest.mark.parametrize("page", PAGES)
def test_settings_exist(page):
    cfg = make_default_config()
    for key in set(KEY.findall(read(page))):
        node = cfg
        for part in key.split("."):
            assert part in node, f"{page}: there is no setting {key}"
            node = node[part]


# EXTENDING's is run with its module: tests/tools/test_import.py
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "yaml") and p != EXTENDING])
def test_yaml_is_accepted(page):
    for text in blocks(page, "yaml"):
        cfg = make_default_config()
        cfg.merge_from_file(MS_RCNN_CONFIG)
        cfg.merge_from_other_cfg(yaml.safe_load(text))
        check_whole(cfg)


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_accepted(page, monkeypatch):
    monkeypatch.setattr(user_modules, "import_module", lambda name: None)
    parser = argument_parser("")
    launch = ROOT / "maskrcnn_benchmark" / "engine" / "launch"
    modules = ("arguments", "predictor_arguments", "user_modules")
    shared = "".join((launch / f"{name}.py").read_text() for name in modules)
    for words in shell_commands(page):
        tools = [index for index, word in enumerate(words) if word.startswith("tools/")]
        if not tools:
            continue
        tool, arguments = words[tools[0]], words[tools[0] + 1 :]
        known = (ROOT / tool).read_text() + shared
        for option in (word for word in arguments if word.startswith("--")):
            assert f'"{option}"' in known, f"{page}: {tool} has no {option}"
        if tool not in ("tools/train_net.py", "tools/test_net.py"):
            continue
        args = parser.parse_args(arguments)
        is_ours = args.config_file.startswith("configs/")  # not the output of a converter
        check_settings(args.opts, ROOT / args.config_file if is_ours else MS_RCNN_CONFIG)


@pytest.mark.parametrize("page", PAGES)
def test_settings_with_values_are_accepted(page):
    for text in re.findall(r"`((?:DTYPE|[A-Z]+\.)[^`]* [^`]*)`", prose(page)):
        is_without_masks = text.startswith("MODEL.RPN_ONLY")
        check_settings(
            shlex.split(text), FASTER_RCNN_CONFIG if is_without_masks else MS_RCNN_CONFIG
        )


@pytest.mark.parametrize("page", PAGES)
def test_targets_of_make_and_extras_exist(page):
    text = read(page)
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE)) <= set(targets)
    extras = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert set(re.findall(r"\.\[(\w+)\]", text)) <= set(extras)


def test_all_commands_of_msrcnn_are_told():
    assert f"`msrcnn {'|'.join(COMMANDS)}`" in read("README.md")
    rows = re.findall(r"^\| `msrcnn (\w+)` \| `python (\S+) ?(\S*)` \|$", read("INSTALL.md"), re.M)
    modules = [(module or script).removesuffix(".py") for _, script, module in rows]
    assert [name for name, *_ in rows] == list(COMMANDS)
    for name, module in zip(COMMANDS, modules, strict=True):
        assert module.replace("/", ".").endswith(COMMANDS[name].module)


def test_the_readme_predicts_in_python(demo_folder, tmp_path, monkeypatch, capsys):
    (code,) = blocks("README.md", "python")
    (weights,) = re.findall(r'"(catalog://[^"]+)"', code)
    assert weights in read("MODEL_ZOO.md")
    (tmp_path / "photo.jpg").symlink_to(demo_folder / "output/demo/data/val/000005.png")
    monkeypatch.chdir(tmp_path)
    exec(code.replace(weights, str(demo_folder / "output/demo/model_final.pth")), {})
    assert capsys.readouterr().out.startswith("[")


def test_the_lines_of_the_formulas_are_in_their_functions():
    rows = re.findall(
        r"^\| 3\..* \| \[`(\S+)`\]\((\S+)\) \| `(.+)` \|$", read("docs/METHOD.md"), re.M
    )
    assert len(rows) == 13
    for name, target, line in rows:
        source = (ROOT / "docs" / target).resolve().read_text()
        found = ast.parse(source)
        for part in name.split("."):
            (found,) = (node for node in found.body if getattr(node, "name", "") == part)
        assert ast.get_source_segment(source, found).count(line) == 1, (name, line)


def test_quoted_messages_are_in_the_code():
    page = prose("docs/TROUBLESHOOTING.md")
    messages = [text for text in QUOTED.findall(page) if text not in TORCHS]
    assert len(messages) > 3
    for text in messages:
        assert text in source_texts(), f"no message of the code says {text!r}"


def test_fields_are_those_of_a_box_list():
    fields = importlib.import_module("maskrcnn_benchmark.structures.fields")
    table = read("docs/ABSTRACTIONS.md").split("| field |")[1].split("\n\n")[0]
    names = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    declared = {v for k, v in vars(fields).items() if k.isupper() and isinstance(v, str)}
    assert set(names) <= declared
    assert len(names) == 8


def test_the_table_of_losses_is_that_of_the_recorded_run():
    recorded = json.loads(LOSSES.read_text())["losses"]
    rows = re.findall(r"^\| (\d+) to (\d+) \| (.*) \|$", read("docs/METHOD.md"), re.MULTILINE)
    assert len(rows) == 5
    names = ("loss_classifier", "loss_box_reg", "loss_mask", "loss_maskiou")
    for first, last, cells in rows:
        for name, cell in zip(names, cells.split(" | "), strict=True):
            values = np.array(recorded[name][int(first) - 1 : int(last)])
            low, high = np.quantile(values, (0.1, 0.9))
            assert cell == f"{values.mean():.3f} ({low:.3f}, {high:.3f})", (first, name)
