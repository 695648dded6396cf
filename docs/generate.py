"""Hook of mkdocs (`mkdocs.yml`): the reference pages that come from the code, and links to files outside `docs/`.

`reference/cli.md` is made from the commands themselves, `reference/protocols.md` from `envs/protocols.toml`. Both exist only
in the built site.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
ROOT = DOCS.parent
GENERATED = ("reference/cli.md", "reference/protocols.md")
"""Pages that exist only in the built site."""
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to those that mkdocs has read."""
    from mkdocs.structure.files import File

    for name, text in zip(GENERATED, ("\n".join(cli_page()), "\n".join(protocols_page())), strict=True):
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Markdown of a page, with links to files of the repository outside `docs/` as text: the site does not contain them."""
    return LINK.sub(lambda link: _as_text(link, (DOCS / page.file.src_uri).parent), markdown)


def _as_text(link: re.Match[str], folder: Path) -> str:
    """The link unchanged, or its text where the target is in the repository and not in the site."""
    target = (folder / link[2]).resolve()
    outside = "://" not in link[2] and not target.is_relative_to(DOCS)
    return link[1] if outside and target.exists() else link[0]


def cli_page() -> Iterator[str]:
    """Lines of the command line's reference: every verb with its arguments and options."""
    from nora_bench.harness.cli import VERBS, build

    yield "# Command line\n"
    yield "Generated from the commands. `nora-bench VERB --help` prints the same text.\n"
    for verb in VERBS:
        yield from _command(f"nora-bench {verb}", build(verb), 2)


def _command(name: str, command: Any, level: int) -> Iterator[str]:
    """Lines about one command, then about each of its parts."""
    yield f"{'#' * level} {name}\n"
    yield f"{(command.help or '').strip()}\n"
    parts = getattr(command, "commands", {})
    rows = [_row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
    if rows and not parts:
        yield "| option | meaning | default |\n| --- | --- | --- |"
        yield from rows
        yield ""
    for part in parts:
        yield from _command(f"{name} {part}", parts[part], level + 1)


def _row(parameter: Any) -> str:
    """Table row of one option or argument."""
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("-"))
    shown = parameter.show_default if isinstance(getattr(parameter, "show_default", None), str) else parameter.default
    default = "" if callable(shown) or shown in (None, False, "", ()) or type(shown) is object else str(shown)
    cells = (names or f"`{str(parameter.name).upper()}`", getattr(parameter, "help", "") or "", default)
    return _line(cells)


def _line(cells: Iterable[object]) -> str:
    """Row of a Markdown table."""
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def protocols_page() -> Iterator[str]:
    """Lines of the protocols' reference: every field of `envs/protocols.toml`."""
    yield "# Protocols\n"
    yield "Generated from `envs/protocols.toml`. `nora-bench list protocols` prints them side by side.\n"
    for name, fields in tomllib.loads((ROOT / "envs" / "protocols.toml").read_text(encoding="utf-8")).items():
        yield f"## {name}\n\n| field | value |\n| --- | --- |"
        for field, value in _flat(fields):
            yield _line((f"`{field}`", value))
        yield ""


def _flat(fields: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and value of every field, those of nested tables included."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
