"""What the documentation says must be so."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from nora_bench.envs.errors import ExitCode
from nora_bench.envs.libero.sim.install import WITHOUT_DEPENDENCIES
from nora_bench.harness.cli import BUG, VERBS, build
from test_layers import ROOT

DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
GENERATED = {"reference/cli.md", "reference/protocols.md"}
"""Pages that exist only in the built site (docs/generate.py)."""
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands():
    """Every `nora-bench` command in the documentation: (page, words)."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
        lines += re.findall(r"`(nora-bench [^`]*)`", text)
        for line in lines:
            for part in re.split(r"&&|\|", line.partition(" #")[0]):
                words = shlex.split(part)
                if words[:1] == ["nora-bench"]:
                    yield page.name, words


def options(verb, part=""):
    """Of a verb, or of one part of it. Raises KeyError for a part that there is not."""
    command = build(verb)
    command = command.commands[part] if hasattr(command, "commands") else command
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


COMMANDS = [*commands()]


def test_the_documentation_shows_every_verb():
    assert set(VERBS) <= {words[1] for _, words in COMMANDS if len(words) > 1}


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=[f"{page}: {' '.join(words)}"[:80] for page, words in COMMANDS])
def test_a_documented_command_exists_with_its_options(page, words):
    verb, *rest = words[1:] or ["--help"]
    if verb.startswith("-"):
        return
    assert verb in VERBS
    assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= options(verb, *rest[:1])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and link not in GENERATED and not (page.parent / link).exists()] == []


def test_architecture_names_existing_files():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    files = {path.name for path in ROOT.rglob("*") if "/." not in path.as_posix()}
    names = {name.rpartition("/")[2] for name in re.findall(r"`([\w/.-]+\.(?:py|toml|json))`", text)}
    assert names - files == {"VERB.py"}


def test_pages_named_in_code_exist():
    texts = [(path, path.read_text(encoding="utf-8")) for path in ROOT.rglob("*.py") if "/." not in path.as_posix()]
    named = {(path.name, page) for path, text in texts for page in re.findall(r"docs/[\w/]+\.md", text)}
    assert {(name, page) for name, page in named if not (ROOT / page).exists()} == set()


def test_every_page_is_in_the_sites_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert pages | GENERATED == set(re.findall(r"([\w/.-]+\.md)$", navigation, re.MULTILINE))


def test_committed_images_are_small():
    assert sum(path.stat().st_size for path in (DOCS / "images").iterdir()) < 1_500_000


def test_the_exit_codes_are_all_named():
    rows = set(map(int, re.findall(r"^\| (\d+) \|", README, re.MULTILINE)))
    assert rows == {*map(int, ExitCode), BUG}


def test_the_manual_install_line_is_the_one_that_doctor_runs():
    assert f"pip install --no-deps {' '.join(WITHOUT_DEPENDENCIES)}" in README


def test_ci_runs_the_readmes_test_command():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    picked = re.search(r"command=\$\((.*)\)$", script, re.MULTILINE)
    assert picked
    found = subprocess.run(["bash", "-c", picked[1]], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    assert found in README
    assert found.endswith("pytest -n auto")


def test_no_file_names_a_place_on_one_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not listed:
        pytest.skip("not a git checkout")
    places = re.compile("/" + r"(work|root|home/\w+)/")
    texts = [name for name in listed if Path(name).suffix in {".py", ".md", ".toml", ".ini", ".yaml", ".json", ""}]
    assert [name for name in texts if places.search((ROOT / name).read_text(encoding="utf-8"))] == []


def test_the_example_policy_of_the_readme_runs(tmp_path):
    code = next(block for block in blocks(README, "python") if "class Mine" in block)
    (tmp_path / "my_policy.py").write_text(code)
    check = (
        "from nora_bench.policies.registry import load; import numpy as np;"
        "from nora_bench.policies.base import *; from nora_bench.envs import protocols; from nora_bench.envs.base import *;"
        "p = load('my_policy:Mine', {'speed': '0.2'}); p.setup(PolicyContext(protocols.get('libero/openvla'), (), 7));"
        "v = EnvObservation(images={'primary': np.full((256, 256, 3), 255, np.uint8)});"
        "print(p.act([Observation(EpisodeSpec('libero_goal', 0, 0, 0, 'libero/openvla'), 0, 0, '', v)])[0].actions[0, 0])"
    )
    done = subprocess.run([sys.executable, "-c", check], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0.2"


def test_the_check_in_the_policy_page_passes(tmp_path):
    code = next(block for block in blocks((ROOT / "docs" / "guide" / "policies.md").read_text(encoding="utf-8"), "python"))
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
