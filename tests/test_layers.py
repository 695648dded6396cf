"""Who may import whom, read from the code itself."""

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "envs": set(),
    "policies": {"envs"},
    "results": {"envs"},
    "harness": {"envs", "policies", "results"},
    "training": {"envs", "policies", "results", "harness"},
}
HEAVY = {"torch", "mujoco", "robosuite", "libero", "sapien", "pandas", "scipy", "matplotlib", "numba", "transformers", "ray"}
"""Never at module level: whoever imports nora_bench pays for them, and may not have them."""
SIMULATOR = {f"envs.libero.{name}" for name in ("engine", "osc", "privileged", "render", "scene")} | {
    f"envs.simpler.{name}"
    for name in (
        *("bodies", "cabinet", "controllers", "convex", "kinematics", "looks", "motion"),
        *("physics_parity", "privileged", "robot", "scene"),
        *("settling", "solver", "urdf", "visuals", "world"),
    )
}
"""Modules that stand on a simulator and load it: imported by a world when it is built, by nobody at module level."""
MODEL = {f"policies.nora.{name}" for name in ("engine", "expert", "fusing", "graphs", "model", "vision")} | {
    f"training.{name}"
    for name in (
        *("auxiliary", "average", "backbone", "checkpoints", "cost", "feed", "flow", "loop", "nano_start", "objective"),
        *("publish", "sft", "sft_data", "sft_recipe", "sft_stage", "starting", "tally", "trained"),
        *("preference.dpo", "preference.objective", "preference.prompts", "preference.terms"),
        *("world_model.model", "world_model.objective", "world_model.predictor"),
    )
}
"""Modules that stand on torch: imported by each other, by a policy when its weights are loaded, by a verb when it trains."""
LIGHT_CLI = {"typer", "rich"}
"""What a verb's module may import at module level beside the standard library and us: `--help` waits for it."""
CHAIN = 9
"""Most imports in a row, each loading the next, within one package."""


def modules() -> dict[str, Path]:
    """Dotted name below nora_bench -> file."""
    found = {}
    for package in MAY_IMPORT:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str, *, everywhere: bool) -> Iterator[str]:
    """What a module imports: absolute names of others, names below nora_bench as `.envs.base`.

    `everywhere` includes imports inside functions; without it, only those that run when the module is loaded.
    """
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree) if everywhere else _at_load(tree):
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
        deeper = f"{target}.{alias.name}"
        yield deeper if deeper.removeprefix(".") in MODULES else target


def _at_load(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _only_for_types(node):
            continue
        yield node
        yield from _at_load(node)


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def ours(name: str, *, everywhere: bool) -> set[str]:
    """Modules of ours that a module imports."""
    return {found.removeprefix(".") for found in imports(name, everywhere=everywhere) if found.startswith(".")} & MODULES.keys()


GRAPH = {name: ours(name, everywhere=False) for name in MODULES}


def test_there_are_modules_to_look_at():
    assert {"envs.base", "policies.base", "harness.cli", "results.records"} <= MODULES.keys()
    assert "envs.base" in GRAPH["policies.base"]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_the_layers_below(name):
    own = name.partition(".")[0]
    others = {found.partition(".")[0] for found in ours(name, everywhere=True)} - {own}
    assert others <= MAY_IMPORT[own]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_names_its_own_package_by_relative_imports(name):
    assert not [found for found in imports(name, everywhere=True) if found.partition(".")[0] == "nora_bench"]


def test_no_modules_import_each_other_in_a_circle():
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


def test_chains_of_imports_stay_short():
    depth: dict[str, int] = {}
    for name in TopologicalSorter(GRAPH).static_order():
        own = [other for other in GRAPH[name] if other.partition(".")[0] == name.partition(".")[0]]
        depth[name] = max((1 + depth[other] for other in own), default=0)
    assert {name: length for name, length in depth.items() if length > CHAIN} == {}


def heavy(name: str) -> set[str]:
    """Heavy libraries that are loaded with the module."""
    return {other.partition(".")[0] for other in imports(name, everywhere=False)} & HEAVY


@pytest.mark.parametrize("name", sorted(MODULES.keys() - SIMULATOR - MODEL))
def test_heavy_libraries_and_the_modules_on_them_are_imported_where_they_are_used(name):
    assert heavy(name) == set()
    assert GRAPH[name] & (SIMULATOR | MODEL) == set()


@pytest.mark.parametrize("name", sorted(SIMULATOR | MODEL))
def test_only_modules_that_need_a_simulator_or_a_model_are_excused(name):
    assert heavy(name) or GRAPH[name] & (SIMULATOR | MODEL)


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("harness.cli.")])
def test_a_verb_loads_nothing_that_help_would_wait_for(name):
    loaded = {found.partition(".")[0] for found in imports(name, everywhere=False) if not found.startswith(".")}
    assert loaded - LIGHT_CLI - sys.stdlib_module_names == set()
