import sys
from enum import Enum
from pathlib import Path
from typing import Literal

import pytest
from nora_bench.envs import protocols
from nora_bench.envs.base import ObservationSpec
from nora_bench.envs.errors import ExitCode, PolicyError
from nora_bench.policies import registry
from nora_bench.policies.arguments import convert
from nora_bench.policies.base import BasePolicy
from nora_bench.policies.registry import PolicyRequestError, complete, load


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("5", int, 5),
        ("0.5", float, 0.5),
        ("5", str, "5"),
        ("no", bool, False),
        ("True", bool, True),
        ("runs/a", Path, Path("runs/a")),
        ("none", int | None, None),
        ("3", int | None, 3),
        ("a", int | str, "a"),
        ("fast", Literal["fast", "slow"], "fast"),
        ("red", Colour, Colour.RED),
        ("1, 2", list[int], [1, 2]),
        ("1,2,3", tuple[float, ...], (1.0, 2.0, 3.0)),
        ("1,x", tuple[int, str], (1, "x")),
        ("", list[str], []),
    ],
)
def test_text_becomes_the_annotated_type(text, kind, value):
    assert convert(text, kind) == value


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("five", int, "not an int"),
        ("maybe", bool, "not one of true"),
        ("medium", Literal["fast", "slow"], "not one of fast, slow"),
        ("1,2,3", tuple[int, int], "not 2 comma-separated"),
        ("x", dict[str, int], "cannot be given as text"),
        ("x", int | None, "not an int"),
    ],
)
def test_text_of_another_type_is_rejected(text, kind, reason):
    with pytest.raises(ValueError, match=reason):
        convert(text, kind)


def test_a_built_in_policy_is_found_by_name():
    assert type(load("zero", {"chunk": "8"})).__name__ == "Zero"


@pytest.mark.parametrize(
    ("name", "args", "says"),
    [
        ("rnadom", {}, "did you mean random"),
        ("zero", {"chunks": "8"}, "did you mean chunk"),
        ("zero", {"chunk": "many"}, "chunk='many' is not an int"),
        ("no_such_module:Policy", {}, "No module named 'no_such_module'"),
        ("json:Policy", {}, "module json has no 'Policy'"),
        ("json:", {}, "package.module:Name"),
        ("zero", {"chunk": "0"}, "chunk must be at least 1"),
        ("replay", {}, "run=FOLDER or file="),
        ("replay", {"run": "nope"}, "nope is not a run"),
        ("replay", {"file": "nope.npy"}, "nope.npy"),
        ("scripted", {"noise": "3"}, "noise must be between"),
        ("./nope", {}, "checkpoint not found"),
        ("http://x", {}, "ws://host:port"),
    ],
)
def test_invalid_request_error_names_valid_ones(name, args, says):
    with pytest.raises(PolicyRequestError, match=says) as caught:
        load(name, args)
    assert caught.value.exit_code == ExitCode.BAD_INPUT


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module of the user's own, in the folder where the command is typed."""

    def write(body):
        imports = "from nora_bench.policies.base import BasePolicy, ObservationSpec\nfrom nora_bench.envs.specs import ActionDim"
        (tmp_path / "my_policy.py").write_text(f"{imports}\n{body}")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.delitem(sys.modules, "my_policy", raising=False)

    return write


def test_a_class_in_the_working_folder_is_found(mine):
    mine("class Mine(BasePolicy):\n    def __init__(self, gain: float = 1.0): self.gain = gain")
    assert load("my_policy:Mine", {"gain": "0.5"}).gain == 0.5


def test_annotations_as_strings_are_understood(mine):
    mine("class Mine(BasePolicy):\n    def __init__(self, gain: 'int' = 1): self.gain = gain")
    assert load("my_policy:Mine", {"gain": "3"}).gain == 3


def test_a_missing_argument_is_named(mine):
    mine("class Mine(BasePolicy):\n    def __init__(self, weights: str): pass")
    with pytest.raises(PolicyRequestError, match="--policy-arg weights="):
        load("my_policy:Mine", {})


@pytest.mark.parametrize(("old", "new"), [("patience_s", "connect_timeout_s"), ("deadline_s", "request_timeout_s")])
@pytest.mark.parametrize("address", ["ws://127.0.0.1:1", "vla-eval://127.0.0.1:1"])
def test_renamed_argument_is_rejected_with_its_new_name(address, old, new):
    with pytest.raises(PolicyRequestError, match=f"no argument '{old}' .did you mean {new}"):
        load(address, {old: "1"})


def test_open_arguments_are_passed_as_text(mine):
    mine("class Mine(BasePolicy):\n    def __init__(self, **options): self.options = options")
    assert load("my_policy:Mine", {"a": "1"}).options == {"a": "1"}


def test_a_constructor_that_raises_is_the_policys_failure(mine):
    mine("class Mine(BasePolicy):\n    def __init__(self): raise RuntimeError('no weights')")
    with pytest.raises(PolicyError, match="my_policy:Mine cannot be built: RuntimeError: no weights") as caught:
        load("my_policy:Mine", {})
    assert not isinstance(caught.value, PolicyRequestError)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("class Mine: pass", "without setup, act, end_episode"),
        ("class Mine(BasePolicy): observation_spec = 3", "with observation_spec of another type"),
        ("class Mine(BasePolicy): act = None", "with act of another type"),
        ("class Mine(BasePolicy):\n    def n_action_steps(self): pass", "n_action_steps must be a positive int or None"),
        ("class Mine(BasePolicy): chunk_size = 0", "chunk_size must be a positive int"),
        ("class Mine(BasePolicy): action_spec = 'gripper'", "action_spec must be a tuple of ActionDim"),
        ("class Mine(BasePolicy): action_spec = (ActionDim('x', low=1, high=-1),)", r"low .* above high"),
        ("class Mine(BasePolicy): action_spec = (ActionDim('x', low='a'),)", "low and high must be numbers"),
        ("class Mine(BasePolicy): tags = 'untrained'", "tags must be"),
        ("class Mine(BasePolicy): tags = 3", "tags must be"),
        ("class Mine(BasePolicy): observation_spec = ObservationSpec(cameras='primary')", "cameras must be"),
        ("class Mine(BasePolicy): observation_spec = ObservationSpec(image_size=-3)", "image_size must be"),
        ("class Mine(BasePolicy): observation_spec = ObservationSpec(image_size='big')", "image_size must be"),
        ("class Mine(BasePolicy): observation_spec = ObservationSpec(orientation='up')", "orientation must be"),
        ("class Mine(BasePolicy): observation_spec = ObservationSpec(proprio_spec='eef')", "proprio_spec must be"),
        ("class Mine(BasePolicy): tags = property(lambda self: 1 / 0)", "ZeroDivisionError"),
        ("class Mine(BasePolicy):\n    def __init__(self): raise SystemExit(0)", "SystemExit"),
    ],
)
def test_policy_with_missing_or_wrong_members_is_rejected(mine, body, says):
    mine(body)
    with pytest.raises(PolicyError, match=says) as caught:
        load("my_policy:Mine", {})
    assert caught.value.exit_code == ExitCode.POLICY


STRUCTURAL = """
class Mine:
    observation_spec, stochastic, tags, label = BasePolicy.observation_spec, False, (), "own"
    setup = act = end_episode = fingerprint = close = lambda self, *args: None
"""


def test_policy_that_does_not_subclass_gets_the_defaults_of_optional_members(mine):
    mine(STRUCTURAL)
    policy = load("my_policy:Mine", {})
    assert (policy.n_action_steps, policy.chunk_size, policy.action_spec) == (None, 1, None)
    assert policy.metrics() == {} and policy.action_spec_under(protocols.get("libero/openvla")) is None
    assert (policy.label, policy.tags) == ("own", ())


def test_policy_that_does_not_subclass_keeps_its_own_optional_members(mine):
    mine(STRUCTURAL + "    chunk_size, action_spec = 4, ()\n")
    policy = load("my_policy:Mine", {})
    assert (policy.chunk_size, policy.action_spec_under(protocols.get("libero/openvla"))) == (4, ())


def test_a_plug_in_is_found_by_its_entry_point(tmp_path, monkeypatch):
    folder = tmp_path / "plug_in-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: plug-in\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[nora_bench.policies]\ntheirs = plug_in:Theirs\n")
    (tmp_path / "plug_in.py").write_text("from nora_bench.policies.base import BasePolicy\nclass Theirs(BasePolicy): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    fresh = registry.Registry(registry.POLICIES.kind, registry.POLICIES.group, {})
    monkeypatch.setattr(registry, "POLICIES", fresh)
    assert isinstance(load("theirs", {}), BasePolicy)


class FormerPolicy(BasePolicy):
    needs = ObservationSpec(cameras=("primary",))


def test_policy_with_the_former_name_of_its_observation_spec_is_rejected():
    with pytest.raises(PolicyError, match="observation_spec"):
        complete(FormerPolicy())
