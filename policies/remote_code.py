"""Policies whose checkpoints bring their own Python: the permission to run it, and all that surrounds the model.

`transformers` has no classes of its own for OpenVLA and SpatialVLA; it imports those that lie beside the weights. They were
written for one version of it and are not maintained, so such a policy has an interpreter of its own, which serves it
(docs/guide/other_models.md).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..envs.base import EvalProtocol, ObservationSpec
from ..envs.errors import PolicyError
from ..envs.specs import ActionDim
from ..envs.types import Array
from .adapters import Adapter, adapted_spec, unscaled
from .base import ActionChunk, BasePolicy, Observation, PolicyContext, PolicyRequestError
from .images import check_steps, model_image
from .nora.action_stats import Chosen, entry_of_action
from .nora.action_stats_files import own_statistics
from .nora.action_stats_names import statistics_key
from .nora.checkpoint import locate, read_json
from .nora.weights import digest

if TYPE_CHECKING:
    from PIL.Image import Image

CODE = ("*.py", "tokenizer.model")
"""Files that are fetched from the hub beside weights and settings, once the code is trusted."""
COMPUTED = ("inv_freq", "position_ids", "relative_position_index")
"""Ends of the names of tensors that a model computes from its sizes: old files hold them, later models do not, or the reverse."""
PARTS = (
    "adapter_model.*",
    "adapter_config.json",
    "action_head--*",
    "proprio_projector--*",
    "vision_backbone--*",
    "noisy_action_*--*",
)
"""Files of weights beside a model: of a LoRA that was not merged, and of OpenVLA-OFT."""
SHOWN = 5
"""Names in an error."""
ACTION_SIZE = 7
"""Numbers per action of these models: six of a motion, and the gripper."""
LIBRARIES = ("transformers", "tokenizers", "timm", "torch")
"""Whose versions change what a checkpoint's code computes."""


class RemoteCodePolicy(BasePolicy):
    """A vision-language-action model behind its checkpoint's own code: one observation at a time, decoded greedily."""

    observation_spec = ObservationSpec(cameras=("primary",))
    MODEL = ""
    """Name of the model in messages."""
    WRITTEN_FOR = ""
    """The version of `transformers` that the published code names."""
    TOWER = ""
    """The model's vision module."""
    STATISTICS = "config.json"
    """File in which the published code keeps statistics; a file of their own beside the weights wins."""
    NUMBERS: tuple[str, ...] = ()
    """Statistics that the published code reads."""

    def __init__(
        self,
        checkpoint: str,
        trust_remote_code: bool = False,
        device: str = "auto",
        statistics: str | None = None,
        prompt: str | None = None,
        crop: bool = True,
    ) -> None:
        """Reads nothing: everything is loaded by `setup`. Raises PolicyRequestError unless the checkpoint's code may run.

        Args:
            checkpoint: folder with config.json, .safetensors, processor or tokenizer, and code, or a hub id.
            trust_remote_code: allow the checkpoint's Python to run.
            device: a torch device; `auto` is the GPU where there is one.
            statistics: `unnorm_key`; None takes the suite's, also with `_no_noops`, or the robot's data set, of any version.
            prompt: text with `{instruction}` in it; None is the published evaluation's.
            crop: follow the protocol's centre crop; false for checkpoints that were never trained on crops.
        """
        if not trust_remote_code:
            raise PolicyRequestError(
                f"{checkpoint} is run by Python that comes with the checkpoint, with all your rights; none of it has been run. "
                "Read it, then allow it: --policy-arg trust_remote_code=true"
            )
        self.checkpoint, self.device, self.statistics, self.prompt, self.crop = checkpoint, device, statistics, prompt, crop
        self._looks = 0

    def load(self, folder: Path, device: str) -> tuple[Any, Any]:
        """Model and processor, by the checkpoint's code."""
        raise NotImplementedError

    def side(self) -> int:
        """Side of the model's images in pixels."""
        raise NotImplementedError

    def known_statistics(self) -> Mapping[str, Any]:
        """Data set -> its statistics, as the checkpoint has them."""
        raise NotImplementedError

    def use_statistics(self, table: Mapping[str, Any]) -> None:
        """Give the model's code these in the place of the ones that it loaded."""
        raise NotImplementedError

    def question(self, family: str) -> str:
        """Prompt of the published evaluation of that family of suites, with `{instruction}` in it."""
        raise NotImplementedError

    def predict(self, image: Image, text: str, statistics: str) -> tuple[Array, str]:
        """[steps, action size] in the data set's units, and the chunk's status."""
        raise NotImplementedError

    def action_spec_under(self, protocol: EvalProtocol) -> tuple[ActionDim, ...] | None:
        """The gripper as the protocol's adapter converts it; the other numbers follow the statistics."""
        return adapted_spec(protocol, ACTION_SIZE)

    def setup(self, context: PolicyContext) -> None:
        """Run the checkpoint's code and load the weights; find the statistics of every suite, or say which are missing."""
        super().setup(context)
        check_steps(context.protocol.model_image)
        self.adapter = Adapter(context.protocol)
        self._image_steps = {k: v for k, v in context.protocol.model_image.items() if k != "crop" or self.crop}
        self._text = self.prompt or self.question(context.protocol.family)
        folder = locate(self.checkpoint, also=CODE)
        if not folder.is_dir():
            raise PolicyError(f"{folder} is a file; name the checkpoint's folder, where its code lies")
        refuse_parts(folder, self.checkpoint)
        self.model, self.processor = self._loaded(folder)
        self._weights = digest(folder.glob("*.safetensors"))
        self._chosen = self._choose(folder, context.suites)
        self._keys = {suite: chosen.name for suite, chosen in self._chosen.items()}
        tower = getattr(self.model, self.TOWER, None)
        if tower is None:
            raise PolicyError(f"the model of {self.checkpoint} has no {self.TOWER}; it is not {self.MODEL}")
        tower.register_forward_hook(self._looked)

    def act_one(self, observation: Observation) -> ActionChunk:
        import torch
        from PIL import Image

        image = model_image(observation.env_observation.images["primary"], self.side(), self._image_steps)
        text = self._text.replace("{instruction}", observation.instruction.lower())
        self._looks = 0
        with torch.no_grad():
            actions, status = self.predict(Image.fromarray(image), text, self._keys[observation.spec.suite])
        self._check_looked()
        return ActionChunk(self.adapter.actions(observation, actions, unscaled(actions.shape[-1])), status)

    def end_episode(self, key: str) -> None:
        self.adapter.end_episode(key)

    def fingerprint(self) -> Mapping[str, Any]:
        return {
            **super().fingerprint(),
            "checkpoint": self.checkpoint,
            "weights_sha256": self._weights,
            "code_sha256": digest(_imported(type(self.model).__module__)),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "device": self.model.device.type,
            "prompt": self._text,
            "crop": self.crop,
            "statistics": self._keys,
            "statistics_from": {suite: chosen.facts() for suite, chosen in self._chosen.items()},
            **_versions(),
        }

    def _loaded(self, folder: Path) -> tuple[Any, Any]:
        try:
            import torch
            import transformers  # noqa: F401
        except ImportError as error:
            raise PolicyError(f"{self.MODEL} needs {error.name}; docs/guide/other_models.md says how to set it up") from None
        device = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device
        try:
            return self.load(folder, device)
        except PolicyError:
            raise
        except Exception as error:  # whatever foreign code raises
            raise PolicyError(
                f"{self.checkpoint} cannot be loaded: {type(error).__name__}: {error}. Its code was written for transformers "
                f"{self.WRITTEN_FOR}, here is {version('transformers')}; docs/guide/other_models.md says how to set up that one"
            ) from error

    def _choose(self, folder: Path, suites: Sequence[str]) -> dict[str, Chosen]:
        """Suite -> statistics. Raises PolicyError where none fits, or lacks a number that the model's code reads."""
        own, source = own_statistics(folder, {}), self.STATISTICS
        if own.table:
            self.use_statistics(own.table)
            source = own.source
        known = self.known_statistics()
        by, found = "option" if self.statistics else "suite", {}
        for suite in suites:
            name = statistics_key(suite, known, self.statistics, source)
            found[suite] = Chosen(name, source, by, known[name])
            numbers = entry_of_action(name, known[name])
            if lacking := [number for number in self.NUMBERS if number not in numbers]:
                raise PolicyError(
                    f"statistics {name} ({source}) lack {' and '.join(lacking)}, which {self.MODEL} scales actions with; "
                    f"they have {', '.join(numbers) or 'nothing'}. Add --policy-arg statistics=NAME with another of "
                    f"{', '.join(sorted(known))}"
                )
        return found

    def _looked(self, *_: Any) -> None:
        self._looks += 1

    def _check_looked(self) -> None:
        """OpenVLA's code silently omits the image under `transformers` since 4.50 (openvla/openvla issue 346)."""
        if not self._looks:
            raise PolicyError(
                f"the code of {self.checkpoint} returned an action without using the image. It was written for transformers "
                f"{self.WRITTEN_FOR}, here is {version('transformers')}; docs/guide/other_models.md says how to set up that one"
            )


def pretrained(model_class: Any, folder: Path, **options: Any) -> Any:
    """The model with the folder's weights. Raises PolicyError where names or shapes of the two are not the same.

    `transformers` only warns, drops what the model does not know and leaves missing ones as initialised.
    """
    model, info = model_class.from_pretrained(folder, output_loading_info=True, use_safetensors=True, **options)
    problems = [f"lacks {name}" for name in sorted(_untied(model, info["missing_keys"]))]
    unknown = [name for name in info["unexpected_keys"] if not name.endswith(COMPUTED)]
    problems += [f"has {name}, which the model does not" for name in sorted(unknown)]
    problems += [f"has {name} in another shape than the model" for name in sorted(str(e[0]) for e in info["mismatched_keys"])]
    if problems:
        more = f" (and {len(problems) - SHOWN} more)" if len(problems) > SHOWN else ""
        raise PolicyError(
            f"the checkpoint {folder} {'; '.join(problems[:SHOWN])}{more}. Are its code and its weights of one model?"
        )
    return model


def _untied(model: Any, missing: Iterable[str]) -> set[str]:
    """Missing names whose weights no tensor of the file gave: a tied one has them under another name."""
    left = {name for name in missing if not name.endswith(COMPUTED)}
    tensors = model.state_dict()
    given = {tensor.data_ptr() for name, tensor in tensors.items() if name not in left}
    return {name for name in left if name not in tensors or tensors[name].data_ptr() not in given}


def refuse_parts(folder: Path, name: str) -> None:
    """Raises PolicyError where weights lie beside the model that its code does not read: the actions would not be the model's."""
    parts = sorted({path.name for pattern in PARTS for path in folder.glob(pattern)})
    if parts:
        raise PolicyError(
            f"{name} holds weights that are not part of the model, and would be ignored: {', '.join(parts[:SHOWN])}. An adapter "
            "must be merged first; heads of OpenVLA-OFT need its own server (docs/guide/other_models.md)"
        )


def remote_class(folder: Path, auto: str) -> Any:
    """The class that the checkpoint's configuration names for that one of `transformers`' automatic classes.

    Under its own name, because later versions no longer know all of those. Imports the checkpoint's code.
    """
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    named = read_json(folder / "config.json").get("auto_map", {})
    if auto not in named:
        raise PolicyError(f"{folder / 'config.json'} names no code for {auto} in its auto_map")
    return get_class_from_dynamic_module(named[auto], str(folder))


def _imported(module: str) -> list[Path]:
    """The files of the checkpoint's code that were imported."""
    package = module.rpartition(".")[0] + "."
    found = [loaded.__file__ for name, loaded in list(sys.modules.items()) if name.startswith(package)]
    return [Path(file) for file in found if file]


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
