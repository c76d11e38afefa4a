"""Recipe: everything that decides a training run, read from one TOML file; nothing else does."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from model.encoder import EncoderConfig
from model.errors import InvalidArgument
from training.augment.mel import AugmentConfig
from training.augment.render import RenderConfig
from training.augment.voices import Voice


@dataclass(frozen=True)
class DataConfig:
    voices: tuple[Voice, ...] = (Voice(),)
    """Every speaker is heard in each; every voice but the first is a new speaker."""
    max_clips_per_speaker: int = 0
    """Of a speaker with more, this many are taken, spread evenly over all of them; 0 takes every clip."""


@dataclass(frozen=True)
class SamplingConfig:
    kind: Literal["pairs", "speakers"] = "speakers"
    batch_size: int = 48
    """Pairs of crops in a batch, or speakers (P)."""
    clips_per_speaker: int = 2
    """Crops of each speaker in a batch of `speakers` (K)."""
    crop_s: tuple[float, float] = (2.0, 2.0)
    """Shortest and longest crop; each batch has one length."""


@dataclass(frozen=True)
class LossConfig:
    kind: Literal["contrastive", "margin_softmax", "prototypical", "ge2e"] = "margin_softmax"
    contrastive_margin: float = 1.0
    contrastive_weight: float = 1.0
    head_weight: float = 0.0
    """Weight of the pair head's binary cross-entropy."""
    softmax_kind: Literal["cosine", "angular"] = "cosine"
    """Where the margin is added: to the cosine (Wang et al., 2018) or to the angle, in radians (Deng et al., 2019)."""
    softmax_margin: float = 0.2
    softmax_scale: float = 30.0
    margin_ramp: tuple[float, float] = (0.0, 0.3)
    """Shares of the run between which softmax margin and contrastive term grow from 0 to their full value."""


@dataclass(frozen=True)
class DistillConfig:
    teacher: str = ""
    """`resemblyzer`, the encoder that the package of that name carries, or the folder of a bundle, an import or a run; none where empty. The card names it."""
    weight: float = 0.0
    """Of the mean of 1 - cosine between what a crop's embedding says and the teacher's of the whole clean clip."""


@dataclass(frozen=True)
class FinetuneConfig:
    """The last share of the run: longer crops, a larger margin, less augmentation (Garcia-Romero et al., 2020)."""

    start: float = 1.0
    """Share of the run after which it begins; 1 has none."""
    crop_s: tuple[float, float] = (3.0, 5.0)
    softmax_margin: float = 0.35
    augment_strength: float = 0.5


@dataclass(frozen=True)
class OptimiserConfig:
    kind: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 0.001
    weight_decay: float = 0.0
    schedule: Literal["step", "one_cycle"] = "step"
    step_epochs: int = 10
    """StepLR: epochs between two reductions by `gamma`."""
    gamma: float = 0.5
    warm_up: float = 0.1
    """OneCycleLR: share of the run in which the learning rate rises."""
    clip_norm: float = 5.0
    average_decay: float = 0.0
    """Of the exponential moving average over the weights, which is what is validated and exported; 0 has none."""


@dataclass(frozen=True)
class Recipe:
    name: str
    summary: str = ""
    seed: int = 1
    epochs: int = 50
    steps_per_epoch: int = 100
    validate_every: int = 1
    """Epochs between two validations."""
    validation_clips: int = 12
    """Clips of each validation speaker that are scored."""
    precision: Literal["float32", "bfloat16"] = "float32"
    data: DataConfig = field(default_factory=DataConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    render: RenderConfig = field(default_factory=RenderConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def __post_init__(self) -> None:
        if self.loss.kind == "contrastive" and self.sampling.kind != "pairs":
            raise InvalidArgument(
                "the contrastive loss alone needs pairs of different speakers: set sampling.kind to 'pairs'"
            )
        if self.loss.kind in ("prototypical", "ge2e") and (
            self.sampling.kind != "speakers" or self.sampling.clips_per_speaker < 2
        ):
            raise InvalidArgument(
                f"the {self.loss.kind} loss needs batches of speakers with several crops each: set sampling.kind to "
                "'speakers' and sampling.clips_per_speaker to 2 or more"
            )
        if self.loss.head_weight and not self.encoder.pair_head:
            raise InvalidArgument("loss.head_weight trains the pair head, which encoder.pair_head has switched off")
        if bool(self.distill.teacher) != (self.distill.weight > 0):
            raise InvalidArgument("distillation needs both distill.teacher and a positive distill.weight")
        if self.encoder.n_taught and not self.distill.teacher:
            raise InvalidArgument(
                "encoder.n_taught is a branch that a teacher trains: set distill.teacher, or n_taught to 0"
            )
        if self.encoder.n_taught and self.loss.kind == "contrastive":
            raise InvalidArgument(
                "the contrastive loss alone measures distances of whole embeddings: it does not go with encoder.n_taught"
            )
        if self.data.max_clips_per_speaker < 0:
            raise InvalidArgument("data.max_clips_per_speaker is a number of clips, or 0 for all of them")
        if not self.data.voices or self.data.voices[0] != Voice():
            raise InvalidArgument("data.voices begins with the clip's own voice, {speed = 1.0, formants = 1.0}")

    @property
    def n_steps(self) -> int:
        return self.epochs * self.steps_per_epoch


def load_recipe(name_or_path: str) -> Recipe:
    """A TOML file, or the name of a recipe that ships (`default`, `plain`, `seed`).

    Raises InvalidArgument naming an unknown key, a missing file or a value of the wrong type.
    """
    path = Path(name_or_path)
    if path.is_file():
        text, name = path.read_text(encoding="utf-8"), path.stem
    else:
        shipped = resources.files("training") / "recipes"
        found = shipped / f"{path.name.removesuffix('.toml')}.toml"
        if not found.is_file():
            names = ", ".join(
                sorted(p.name.removesuffix(".toml") for p in shipped.iterdir() if p.name.endswith(".toml"))
            )
            raise InvalidArgument(f"there is no recipe {name_or_path!r}; give a TOML file or one of {names}")
        text, name = found.read_text(encoding="utf-8"), path.name.removesuffix(".toml")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{name_or_path} is not valid TOML: {error}") from error
    return recipe_from({"name": name, **table})


def recipe_from(table: dict[str, Any]) -> Recipe:
    """A Recipe from nested dicts, as TOML or a checkpoint gives them."""
    recipe: Recipe = _build(Recipe, table, "")
    return recipe


def _build(cls: Any, table: dict[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}
    for key in table:
        if key not in known:
            raise InvalidArgument(f"unknown recipe key {where}{key}; known are {', '.join(sorted(known))}")
    values = {key: _value(hints[key], value, f"{where}{key}") for key, value in table.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise InvalidArgument(f"recipe {where.rstrip('.')}: {error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise InvalidArgument(f"recipe key {where} is a table; got {value!r}")
        return _build(hint, value, f"{where}.")
    if origin is Literal:
        if value not in typing.get_args(hint):
            raise InvalidArgument(
                f"recipe key {where} is one of {', '.join(map(str, typing.get_args(hint)))}; got {value!r}"
            )
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise InvalidArgument(f"recipe key {where} is a list; got {value!r}")
        inner = typing.get_args(hint)
        if inner[-1] is not Ellipsis and len(inner) != len(value):
            raise InvalidArgument(f"recipe key {where} has {len(inner)} entries; got {len(value)}")
        return tuple(_value(inner[0], item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise InvalidArgument(f"recipe key {where} is of type {hint.__name__}; got {value!r}")
    return value
