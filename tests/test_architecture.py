"""Architecture rules: imports, access to the config, size, types, documentation."""

import ast
import statistics
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "maskrcnn_benchmark"
NAME = "maskrcnn_benchmark"

ALLOWED = {
    "cli.py": set(),  # it imports the requested command by name
    "tools": set(),
    "config": set(),
    "utils": set(),
    "solver": set(),
    "layers": set(),
    "structures": {"layers"},
    "modeling": {"structures", "layers", "utils"},
    "data": {"structures", "utils"},
    "evaluation": {"structures", "utils"},
    "checkpoint": {"structures", "utils"},  # the names of classes
    "visualization": {"structures", "utils"},
    "report": {"data", "evaluation", "visualization", "structures", "utils"},
    "review": {"report", "predict", "evaluation", "visualization", "structures"},
    "engine": {"evaluation", "checkpoint", "structures", "utils"},
    "predict": {
        *("config", "modeling", "data", "checkpoint", "evaluation", "structures", "visualization"),
        "utils",
    },
}
# file or folder -> what it may import beyond its subpackage's rule
EXCEPTIONS = {
    "engine/launch/": {
        *("config", "modeling", "data", "solver", "predict", "visualization", "report", "review"),
    },
    "modeling/registry.py": {"config"},  # config/registry.py
    "data/registry.py": {"config"},
    "data/inspection/pictures.py": {"visualization"},
    "data/inspection/report.py": {"visualization"},
    "engine/predictor.py": {"predict"},  # the former homes of public names
    "utils/checkpoint.py": {"checkpoint"},
    "utils/metric_logger.py": {"engine"},
    "utils/collect_env.py": {"layers", "_C"},
    "layers/_ops.py": {"_C"},
}
READS_CONFIG = tuple(
    f"{private}{verb}"
    for private in ("", "_")
    for verb in ("build_", "make_", "from_cfg", "check_", "derive_")
)
# the tree itself and its checks; and a run, which is what its config describes
CONFIG_FILES = ("config/", "engine/launch/")
CHECKPOINT = "checkpoint/checkpointer.py"  # DetectronCheckpointer(cfg, ...) is a public name
REGISTRY = "config/registry.py"  # passes the config on to registered entries
MAX_FILE, MEDIAN_FILE = 300, 120
MAX_FUNCTION, MEDIAN_FUNCTION, P90_FUNCTION = 60, 12, 35
MAX_POSITIONAL = 5
MAX_UTILS = 500  # maximum number of lines
MAX_TOOL = 120
# tools do not need these: they read arguments, call a function of the package and print
NOT_IN_TOOLS = {"config", "modeling", "layers", "solver", "evaluation", "_C"}
_SELF = ("self", "cls", "ctx")
FREE_SIZE = {"config/defaults.py"}

FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
SCRIPTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("tools", "demo", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _functions(path: Path) -> list[Function]:
    return [node for node in ast.walk(_tree(path)) if isinstance(node, Function)]


def _length(function: Function) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


def _imported(file: str) -> set[str]:
    """Return the full names of the modules that a file of the package imports."""
    package = [NAME, *Path(file).parts[:-1]]
    names = set()
    for node in ast.walk(_tree(PACKAGE / file)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name | ast.Attribute)
            and (node.func.id if isinstance(node.func, ast.Name) else node.func.attr)
            in ("import_module", "__import__")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            names.add(str(node.args[0].value))
    return names


def _ours(file: str) -> set[str]:
    """Return the subpackages that a file imports."""
    parts = [name.split(".") for name in _imported(file)]
    return {p[1] for p in parts if p[0] == NAME and len(p) > 1}


@pytest.mark.parametrize("file", FILES)
def test_imports_follow_the_rule(file: str) -> None:
    part = file.split("/")[0]
    if part == "__init__.py":
        # at type checking alone: the names come when they are used
        assert _ours(file) == {"engine", "modeling", "predict"}
        return
    more = [names for place, names in EXCEPTIONS.items() if file.startswith(place)]
    allowed = ALLOWED[part].union({part}, *more)
    assert _ours(file) <= allowed, f"{file} may import {sorted(allowed)}"


def test_rpn_and_roi_heads_meet_only_in_the_detector() -> None:
    for one, other in (("rpn", "roi_heads"), ("roi_heads", "rpn")):
        for file in FILES:
            if file.startswith(f"modeling/{one}/"):
                met = [n for n in _imported(file) if n.startswith(f"{NAME}.modeling.{other}")]
                assert not met, file


def test_no_import_cycles() -> None:
    modules = {f"{NAME}.{f[:-3].replace('/', '.')}".removesuffix(".__init__"): f for f in FILES}
    edges = {m: {n for n in _imported(f) if n in modules and n != m} for m, f in modules.items()}
    # a package may gather the names of its own modules
    for module, targets in edges.items():
        targets -= {t for t in targets if module.startswith(f"{t}.")}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join([*way, module])
        if module not in done:
            for target in edges[module]:
                visit(target, (*way, module))
            done.add(module)

    for module in modules:
        visit(module, ())


def test_nothing_imports_the_global_config() -> None:
    for file in FILES:
        if not file.startswith("config/"):
            assert f"{NAME}.config.cfg" not in _imported(file), file


@pytest.mark.parametrize("file", [f for f in FILES if not f.startswith(CONFIG_FILES)])
def test_only_builders_read_the_config(file: str) -> None:
    def check(node: ast.AST, allowed: bool) -> None:
        for child in ast.iter_child_nodes(node):
            inside = allowed or (
                isinstance(child, Function)
                and (child.name.startswith(READS_CONFIG) or file == REGISTRY)
            )
            if not inside and isinstance(child, ast.Name) and child.id == "cfg":
                raise AssertionError(f"{file}:{child.lineno} reads cfg outside build_*, make_*")
            if not inside and isinstance(child, Function):
                names = [a.arg for a in child.args.args + child.args.kwonlyargs]
                assert "cfg" not in names, f"{file}:{child.lineno} {child.name} takes a cfg"
            check(child, inside)

    if file != CHECKPOINT:
        check(_tree(PACKAGE / file), False)


@pytest.mark.parametrize("file", [f"{NAME}/{f}" for f in FILES] + SCRIPTS)
def test_size_types_and_documentation(file: str) -> None:
    path = ROOT / file
    text = path.read_text()
    if file.removeprefix(f"{NAME}/") not in FREE_SIZE:
        assert len(text.splitlines()) <= MAX_FILE, file
    if text.strip() and path.name != "__init__.py":
        assert ast.get_docstring(_tree(path)), f"{file} has no docstring"
    for function in _functions(path):
        where = f"{file}:{function.lineno} {function.name}"
        assert _length(function) <= MAX_FUNCTION, f"{where}: {_length(function)} lines"
        arguments = function.args
        positional = [a for a in arguments.posonlyargs + arguments.args if a.arg not in _SELF]
        listed = [*positional, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        untyped = [a.arg for a in listed if a is not None and a.annotation is None]
        assert not untyped, f"{where}: untyped {untyped}"
        assert function.returns is not None, f"{where}: no return type"


def _public(tree: ast.AST, inside_private: bool = False) -> list[ast.AST]:
    """Yield public functions and classes, except nested functions."""
    found: list[ast.AST] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            found.append(node)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            found += _public(node)
    return found


@pytest.mark.parametrize("file", [f"{NAME}/{f}" for f in FILES] + SCRIPTS)
def test_everything_public_is_documented(file: str) -> None:
    overridden = ("forward", "backward", "setup_context")  # documented by their class
    for node in _public(_tree(ROOT / file)):
        assert isinstance(node, Function | ast.ClassDef)
        if node.name not in overridden and not _is_overload(node):
            assert ast.get_docstring(node), f"{file}:{node.lineno} {node.name} has no docstring"


def _is_overload(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any(isinstance(d, ast.Name) and d.id == "overload" for d in decorators)


def test_the_typical_file_and_function_are_small() -> None:
    lengths = [len((PACKAGE / f).read_text().splitlines()) for f in FILES]
    assert statistics.median(n for n in lengths if n > 2) <= MEDIAN_FILE
    functions = sorted(_length(f) for file in FILES for f in _functions(PACKAGE / file))
    assert statistics.median(functions) <= MEDIAN_FUNCTION
    assert functions[round(0.9 * (len(functions) - 1))] <= P90_FUNCTION


def test_utils_is_small() -> None:
    files = [file for file in FILES if file.startswith("utils/")]
    lines = sum(len((PACKAGE / file).read_text(encoding="utf-8").splitlines()) for file in files)
    assert lines <= MAX_UTILS, f"utils/ has {lines} lines"


def test_few_positional_arguments() -> None:
    # signatures that users' scripts rely on
    public = {"do_train", "inference", "RPNPostProcessor"}
    for file in FILES:
        for function in _functions(PACKAGE / file):
            positional = [
                a for a in function.args.posonlyargs + function.args.args if a.arg not in _SELF
            ]
            if function.name not in public and not function.name.startswith("__"):
                assert len(positional) <= MAX_POSITIONAL, f"{file}:{function.lineno}"


@pytest.mark.parametrize("file", [f for f in SCRIPTS if not f.startswith("benchmarks/")])
def test_every_program_reports_user_errors_in_one_line(file: str) -> None:
    for function in _functions(ROOT / file):
        if function.name == "main":
            decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
            assert "failures_named()" in decorators, f"{file}: main() needs @failures_named()"


@pytest.mark.parametrize("file", [f for f in SCRIPTS if f.startswith("tools/")])
def test_tools_can_be_called_and_imported_from_anywhere(file: str) -> None:
    # they are commands of the installed package too, where no tool can import another by its name
    (main,) = (function for function in _functions(ROOT / file) if function.name == "main")
    assert ast.unparse(main.args) == "argv: Sequence[str] | None=None"
    tools = {Path(script).stem for script in SCRIPTS if script.startswith("tools/")}
    for node in ast.walk(_tree(ROOT / file)):
        if isinstance(node, ast.ImportFrom):
            assert node.module not in tools, f"{file}:{node.lineno}"
        elif isinstance(node, ast.Import):
            assert not tools & {alias.name for alias in node.names}, f"{file}:{node.lineno}"


@pytest.mark.parametrize("file", [f for f in SCRIPTS if f.startswith("tools/")])
def test_tools_are_arguments_a_call_and_printing(file: str) -> None:
    wrong = _beyond_a_tool(ast.parse((ROOT / file).read_text(encoding="utf-8")))
    assert not wrong, f"{file}: {wrong} belongs in engine/launch/, where a user can call it"
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MAX_TOOL, file


def _beyond_a_tool(tree: ast.Module) -> list[str]:
    """Return what a file in tools/ has besides arguments, ``main`` and functions that make text."""
    found = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        or (
            isinstance(node, Function)
            and node.name not in ("main", "parse_arguments")
            and (node.returns is None or ast.unparse(node.returns) != "str")
        )
    ]
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            top, _, rest = name.partition(".")
            is_ours = top == NAME and rest.partition(".")[0] not in NOT_IN_TOOLS
            is_for_torchrun = name == "torch.distributed.elastic.multiprocessing.errors"
            if not (is_ours or is_for_torchrun or top in sys.stdlib_module_names):
                found.append(f"import of {name}")
    return found


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("class Part: pass", ["Part"]),
        ("def convert(path: Path) -> Conversion: ...", ["convert"]),
        ("def main() -> None:\n    def run(): ...", ["run"]),
        ("import torch", ["import of torch"]),
        ("from maskrcnn_benchmark.config import cfg", [f"import of {NAME}.config"]),
        ("import json\ndef describe(found: Conversion) -> str: ...", []),
    ],
)
def test_library_code_in_a_tool_would_be_found(code: str, wrong: list[str]) -> None:
    assert _beyond_a_tool(ast.parse(code)) == wrong


def test_segmentations_have_one_reader_and_writer() -> None:
    # the overlap of two masks is no reading
    home = {"structures/rle.py", "layers/_mask_fallback.py"}
    users = {f for f in FILES if "pycocotools.mask" in _imported(f)} - home
    for file in users:
        used = {
            node.attr
            for node in ast.walk(_tree(PACKAGE / file))
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "coco_mask"
        }
        assert used <= {"iou"}, f"{file} uses {sorted(used)}: see structures/rle.py"


_NO_TEXT = ("Image", "av", "os")  # whose open() is of no text file


def _is_text_without_encoding(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    if name not in ("open", "read_text", "write_text", "FileHandler", "fdopen", "TextIOWrapper"):
        return False
    if name == "open" and owner.split(".")[-1].lstrip("_") in _NO_TEXT:
        return False
    modes = [
        value.value
        for value in (*call.args, *(k.value for k in call.keywords if k.arg == "mode"))
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    ]
    is_binary = name in ("open", "fdopen") and any("b" in mode and len(mode) < 4 for mode in modes)
    return not is_binary and not any(keyword.arg == "encoding" for keyword in call.keywords)


@pytest.mark.parametrize("file", [f"{NAME}/{f}" for f in FILES] + SCRIPTS)
def test_text_files_have_an_encoding(file: str) -> None:
    # the default is that of the locale, which differs between machines
    calls = [node for node in ast.walk(_tree(ROOT / file)) if isinstance(node, ast.Call)]
    without = [call.lineno for call in calls if _is_text_without_encoding(call)]
    assert not without, f"{file}: lines {without} need encoding='utf-8'"


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("path.open()", True),
        ("open(path, 'w')", True),
        ("path.open(mode='a')", True),
        ("path.read_text(errors='replace')", True),
        ("path.write_text(text)", True),
        ("logging.FileHandler(path)", True),
        ("path.open('rb')", False),
        ("path.open('w', encoding='utf-8')", False),
        ("path.read_text(encoding='utf-8')", False),
        ("Image.open(path)", False),
        ("self._av.open(str(path), 'w')", False),
        ("os.open(path, flags)", False),
    ],
)
def test_a_missing_encoding_is_detected(code: str, wrong: bool) -> None:
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    assert _is_text_without_encoding(call) == wrong


def test_nothing_unfinished() -> None:
    words = ("TO" + "DO", "FIX" + "ME", "XX" + "X:", "NotImplemented" + "Error", "for " + "now")
    for file in [f"{NAME}/{f}" for f in FILES] + SCRIPTS:
        text = (ROOT / file).read_text()
        assert not [w for w in words if w in text], file
