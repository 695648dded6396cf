"""Each suite is drawn by what its simulator draws with, looked for only where it is needed."""

from dataclasses import replace

import pytest
from fakes import toy
from nora_bench.envs import suites
from nora_bench.envs.base import Suite
from nora_bench.harness.rendering import backend, vulkan
from nora_bench.harness.rendering.gl import Backend


@pytest.fixture(autouse=True)
def drivers(monkeypatch):
    monkeypatch.setattr(backend, "find_gl", lambda: Backend("egl"))
    monkeypatch.setattr(vulkan, "find_vulkan", lambda: Backend("vulkan", "SwiftShader"))


def test_mujocos_suites_are_drawn_by_opengl():
    assert backend.find_driver(suites.get("libero_goal")).name == "egl"


def test_sapiens_suites_are_drawn_by_vulkan():
    assert backend.find_driver(suites.get("simpler-vm")).renderer == "SwiftShader"


def test_another_interpreter_finds_its_own_driver():
    assert backend.find_driver(suites.get("simpler-vm"), foreign=True) == Backend("vulkan")


def test_suites_that_draw_by_themselves_need_none():
    assert backend.find_driver(toy).name == "none"


def test_suite_without_a_declared_renderer_is_rendered_by_opengl():
    assert backend.find_driver(replace(toy, opengl=Suite.opengl)).name == "egl"
