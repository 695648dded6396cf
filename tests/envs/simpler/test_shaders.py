"""Source of the raster shaders: what software Vulkan drivers need that no compiler checks."""

import re
from pathlib import Path

from nora_bench.envs import simpler

FRAGMENT = Path(simpler.__file__).parent / "sim" / "shaders" / "raster" / "gbuffer.frag"


def expanded(source):
    """The code with each use of the macro LIGHT replaced by its body."""
    code = re.sub(r"//.*", "", source)
    macro = re.search(r"#define LIGHT\(i\)((?:.*\\\n)*.*\n)", code)
    if macro is None:
        return code
    return re.sub(r"LIGHT\((\d)\)", lambda use: re.sub(r"\bi\b", use[1], macro[1]), code.replace(macro[0], ""))


def test_samplers_are_indexed_by_literals():
    """SwiftShader runs returned and discarded fragments on, and crashed at a sampler whose index they no longer held."""
    main = expanded(FRAGMENT.read_text()).split("out uvec4 outSegmentation;")[1]
    indices = re.findall(r"sampler\w+\[(\w+)\]", main)
    assert sorted(indices) == ["0", "1", "2"]
