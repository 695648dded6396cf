"""Import rules, read from the code: order of packages, no circles, short chains, heavy libraries by folder."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "envs": set(),
    "policies": {"envs", "results.store"},
    "results": {"envs"},
    "harness": {"envs", "policies", "results"},
    "training": {"envs", "policies", "results", "harness"},
}
HEAVY = {"torch", "mujoco", "robosuite", "libero", "sapien", "pandas", "scipy", "matplotlib", "numba", "transformers", "ray"}
"""Libraries that are slow to import or optional: imported in the function that uses them, except in HEAVY_FOLDERS."""
HEAVY_FOLDERS = (
    *("envs.libero.sim", "envs.simpler.sim", "envs.simpler.parity", "policies.nora.model"),
    *("training.engine", "training.models", "training.sft", "training.preference", "training.world_model"),
)
"""Folders whose modules may load a simulator or torch when they are imported."""
LIGHT_CLI = {"typer", "rich"}
"""Libraries that a command's module may import at module level beside the standard library: `--help` waits for them."""
LONGEST_CHAIN = {"envs": 6, "policies": 9, "results": 6, "harness": 6, "training": 6}
"""Most imports in a row within a package, those inside functions included. 6 is the aim: never raise a number."""


def modules() -> dict[str, Path]:
    """Dotted name below nora_bench -> file."""
    files = {}
    for package in MAY_IMPORT:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


MODULES = modules()


@cache
def tree(name: str) -> ast.Module:
    """Syntax tree of a module."""
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def imports(name: str, *, everywhere: bool) -> Iterator[str]:
    """Modules that a module imports: absolute names of other libraries, names below nora_bench as `.envs.base`.

    `everywhere` includes imports inside functions; without it, only those that run when the module is loaded. Imports under
    TYPE_CHECKING never count.
    """
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in _nodes(tree(name), everywhere=everywhere):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _from(node, package)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "import_module":
            yield from (argument.value for argument in node.args if isinstance(argument, ast.Constant))


def _from(node: ast.ImportFrom, package: str) -> Iterator[str]:
    if not node.level:
        yield node.module or ""
        return
    base = ["", *package.split(".")][: len(package.split(".")) + 2 - node.level]
    target = ".".join([*base, *filter(None, [node.module])])
    for alias in node.names:
        submodule = f"{target}.{alias.name}"
        yield submodule if submodule.removeprefix(".") in MODULES else target


def _nodes(parent: ast.AST, *, everywhere: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(parent):
        in_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if _only_for_types(node) or (in_function and not everywhere):
            continue
        yield node
        yield from _nodes(node, everywhere=everywhere)


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def own(name: str, *, everywhere: bool) -> set[str]:
    """Modules of nora-bench that a module imports."""
    names = {target.removeprefix(".") for target in imports(name, everywhere=everywhere) if target.startswith(".")}
    return (names & MODULES.keys()) - {name}


LOADED = {name: own(name, everywhere=False) for name in MODULES}
IMPORTED = {name: own(name, everywhere=True) for name in MODULES}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """One import circle, empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_graph_contains_known_modules():
    assert {"envs.base", "policies.base", "harness.cli", "results.store.records"} <= MODULES.keys()
    assert "envs.base" in LOADED["policies.base"]


def test_packages_import_only_from_the_packages_below():
    wrong = [
        f"{name} -> {other}"
        for name, others in IMPORTED.items()
        for other in others
        if (package := name.partition(".")[0]) != other.partition(".")[0]
        and not any(other == allowed or other.startswith(f"{allowed}.") for allowed in MAY_IMPORT[package])
    ]
    assert wrong == []


def test_own_modules_are_imported_relatively():
    wrong = [name for name in MODULES if any(t.partition(".")[0] == "nora_bench" for t in imports(name, everywhere=True))]
    assert wrong == []


def test_modules_have_no_import_circle():
    assert circle(IMPORTED) == []


def folder(name: str) -> str:
    """The folder of a module; the module itself where its folder contains others (`envs.libero.suite`)."""
    path = MODULES[name].parent
    has_folders = any((child / "__init__.py").is_file() for child in path.iterdir() if child.is_dir())
    return name if has_folders else ".".join(path.relative_to(ROOT).parts)


def test_folders_have_no_import_circle():
    graph: dict[str, set[str]] = {}
    for name, others in IMPORTED.items():
        graph.setdefault(folder(name), set()).update(folder(other) for other in others if folder(other) != folder(name))
    assert circle(graph) == []


def test_import_chains_are_short():
    depth: dict[str, int] = {}
    for name in TopologicalSorter(IMPORTED).static_order():
        same_package = [other for other in IMPORTED[name] if other.partition(".")[0] == name.partition(".")[0]]
        depth[name] = max((1 + depth[other] for other in same_package), default=0)
    assert {name: length for name, length in depth.items() if length > LONGEST_CHAIN[name.partition(".")[0]]} == {}


def heavy(name: str) -> set[str]:
    """Heavy libraries that a module imports when it is loaded."""
    return {target.partition(".")[0] for target in imports(name, everywhere=False)} & HEAVY


def test_heavy_libraries_are_loaded_only_by_their_folders():
    loads: dict[str, bool] = {}
    for name in TopologicalSorter(LOADED).static_order():
        loads[name] = bool(heavy(name)) or any(loads[other] for other in LOADED[name])
    wrong = [name for name, is_heavy in loads.items() if is_heavy and not name.startswith(tuple(f"{f}." for f in HEAVY_FOLDERS))]
    assert wrong == []


def test_commands_load_only_light_libraries():
    wrong = {}
    for name in MODULES:
        if name.startswith(("harness.cli.", "training.cli.")):
            loaded = {target.partition(".")[0] for target in imports(name, everywhere=False) if not target.startswith(".")}
            wrong |= {name: extra} if (extra := loaded - LIGHT_CLI - sys.stdlib_module_names) else {}
    assert wrong == {}
