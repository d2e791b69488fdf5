"""The configuration of a run: YAML checked by pydantic, the same classes usable from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from keel.atoms.settings import DataSettings as DataSettings
from keel.atoms.settings import SplitSettings as SplitSettings
from keel.dynamics.settings import SimulationSettings
from keel.dynamics.stability import LADDER
from keel.errors import ConfigError
from keel.evaluation.settings import AssessmentSettings as AssessmentSettings
from keel.mistakes import instead, mistakes
from keel.perturbation import PerturbationSettings
from keel.plugins import discover, load_plugins, load_plugins_of
from keel.ranges import Count, Cutoff, Duration, Runs, Seed, Temperature
from keel.settings import Listed, OrName, Settings, parse, read_yaml
from keel.training import STRATEGIES, Strategy, TrainingSettings
from keel.training.known import COMPARED


class TeacherSettings(Settings):
    """An EAM or a plugin's teacher, fitted to the training frames; or a potential from a file or an ASE calculator."""

    fit: str = Field("eam", description="what is fitted to the training frames: eam, or the teacher of a plugin")
    file: str | None = Field(None, description="a potential to use instead of fitting one, see keel.open_potential")
    trust: bool = Field(False, description="allow a file that runs code when it is read, such as a MACE model")
    calculator: str | None = Field(
        None,
        description="import path of an ASE calculator to use instead, e.g. ase.calculators.emt.EMT",
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="for the calculator or a plugin's teacher")
    cutoff: Cutoff = Field(8.0, description="cutoff of the EAM")
    contacts: bool = Field(
        True,
        description="below the closest contacts of the data keep the force constant, with a nuclear core (ZBL)",
    )
    zbl: bool = Field(False, description="without contacts: a nuclear repulsion for all pairs, not only soft ones")
    three_body: bool = Field(False, description="a term for the angles between bonds, needed for covalent solids")

    @model_validator(mode="after")
    def _one(self) -> TeacherSettings:
        if self.file is not None and self.calculator is not None:
            raise ValueError("the teacher is a file or a calculator, not both")
        if self.fit != "eam" and (self.file or self.calculator):
            raise ValueError("the teacher is fitted, or it is a file or a calculator, not both")
        if self.arguments and self.calculator is None and self.fit == "eam":
            raise ValueError("arguments belong to a calculator, but none is named")
        if self.trust and self.file is None:
            raise ValueError("trust is for a file, but none is named")
        return self


class NetworkSettings(Settings):
    """A network: the class and its arguments (``elements`` come from the data), or a file with a trained one."""

    model_config = ConfigDict(extra="allow")

    architecture: str | None = Field(None, description="class of the network; null: CGCNN, or that of the file")
    start: str | None = Field(None, description="a trained network to continue from, see keel.open_potential")
    trust: bool = Field(False, description="allow a start file that runs code when it is read, such as a MACE model")
    name: str | None = Field(None, description="name in tables; null: that of the class or file")
    training: dict[str, Any] = Field(default_factory=dict, description="training settings for this network only")

    @property
    def label(self) -> str:
        """Name in tables."""
        return self.name or (self.class_name if self.start is None else Path(self.start).stem)

    @property
    def class_name(self) -> str:
        """Class of a new network."""
        return self.architecture or "CGCNN"

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the class."""
        return dict(self.model_extra or {})

    @field_validator("training")
    @classmethod
    def _settings(cls, training: dict[str, Any]) -> dict[str, Any]:
        try:
            TrainingSettings.model_validate(training)
        except ValidationError as error:
            raise ValueError("; ".join(mistakes(error, TrainingSettings))) from None
        return training

    @model_validator(mode="after")
    def _one(self) -> NetworkSettings:
        if self.start is not None and (self.arguments or self.architecture):
            raise ValueError("a network that starts from a file has the architecture and arguments of that file")
        if self.trust and self.start is None:
            raise ValueError("trust is for a file to start from, but none is named")
        return self


class StabilitySettings(SimulationSettings):
    """First-passage stability: at which temperatures, how many runs, how long."""

    temperatures: Listed[Temperature] = Field(list(LADDER), min_length=1, description="temperatures of the ladder")
    runs: Runs = Field(8, description="runs of each network, each from a different structure")
    length_fs: Duration = Field(2000.0, description="length of a run; longer if the median of vanilla requires it")
    rung_fs: Duration | None = Field(None, description="length of the runs that find the temperature; null: length_fs")
    longest_fs: Duration = Field(5000.0, description="no run is longer than this")

    @field_validator("friction_per_fs")
    @classmethod
    def _coupled(cls, friction: float) -> float:
        if friction == 0:
            raise ValueError("runs at a temperature need a thermostat, so a friction above zero")
        return friction


class EvaluationSettings(Settings):
    """Evaluations besides stability."""

    rdf_temperature: Temperature | None = Field(
        None, description="MD at this temperature is compared with the RDF of the test frames; null: no comparison"
    )
    rdf_length_fs: Duration = Field(1000.0, description="length of these runs, the first third of which is left out")
    rdf_runs: Runs = Field(4, description="number of these runs")
    rdf_reference: bool = Field(True, description="compare with the test frames, which are from MD at that temperature")
    dimers: bool | Count = Field(
        True, description="curves of every pair of elements, or of this many pairs, the most common ones"
    )
    probes: list[str] = Field(
        default_factory=list,
        description="groups of probes of `keel assess`, or of plugins, for each trained network",
    )


class RunSettings(Settings):
    """All settings of ``keel run``."""

    name: str = Field(..., description="name of the system in tables")
    description: str = Field("", description="one sentence for the report")
    plugins: list[str] = Field(default_factory=list, description="modules, or files such as mine.py, that extend keel")
    data: DataSettings
    teacher: TeacherSettings = Field(default_factory=TeacherSettings)
    perturbation: PerturbationSettings = Field(default_factory=PerturbationSettings)
    networks: Listed[Annotated[NetworkSettings, OrName("architecture")]] = Field(
        default_factory=lambda: [NetworkSettings()],
        min_length=1,
        description="networks to train, with arguments of their classes; of a new one the name is enough, such as "
        "CGCNN",
    )
    strategies: Listed[str] = Field(
        default_factory=lambda: list(COMPARED),
        min_length=1,
        description=f"strategies to compare: {', '.join(STRATEGIES)}, or custom ones",
    )
    custom_strategies: dict[str, Strategy] = Field(default_factory=dict, description="further strategies by name")
    seeds: Listed[Seed] = Field(
        default_factory=lambda: [0],
        min_length=1,
        description="seeds of weights, batches and perturbations; each is a separate training",
    )
    fewer_seeds: dict[str, Count] = Field(
        default_factory=dict, description="number of seeds (the first ones) of single strategies"
    )
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    md: StabilitySettings = Field(default_factory=StabilitySettings)
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings)

    @field_validator("plugins")
    @classmethod
    def _loaded(cls, plugins: list[str]) -> list[str]:
        # Before anything needs what they register.
        load_plugins(plugins)
        return plugins

    @model_validator(mode="after")
    def _consistent(self) -> RunSettings:
        for k, name in enumerate(self.strategies):
            after = self.strategy(name).after
            new = next((n.label for n in self.networks if n.start is None), None)
            if after is not None and after not in self.strategies[:k] and (new or after in self.strategies):
                instead = f", or {new} must start from a trained network (start: FILE)" if new else ""
                raise ValueError(f"strategy {name!r} continues from {after!r}, which must come before it{instead}")
            if after is not None and self.strategy(after).base is not None:
                raise ValueError(
                    f"strategy {name!r} continues from {after!r}, whose network is on a base; choose another"
                )
            if self.strategy(name).base == "teacher":
                if self.teacher.calculator is not None:
                    raise ValueError(f"strategy {name!r} is used with its teacher, which cannot be a calculator")
                if old := [n.label for n in self.networks if n.start]:
                    raise ValueError(f"strategy {name!r} is for new networks, but {old[0]!r} is already trained")
        for network in self.networks:
            if (settings := self.training_of(network)).devices * settings.nodes > 1:
                raise ValueError("training: each network of a run has one device; run with --workers, or `keel train`")
            if settings.patience is not None and self.data.split is not None and self.data.split.validation == 0:
                raise ValueError(
                    "training.patience counts validations, and data.split.validation is 0; give some frames"
                )
        labels = [n.label for n in self.networks]
        named: dict[str, list[Any]] = {"networks": labels, "strategies": self.strategies, "seeds": self.seeds}
        for what, values in named.items():
            if len(set(values)) != len(values):
                twice = next(value for value in values if values.count(value) > 1)
                cure = "; give one of them a name: of its own" if what == "networks" else ""
                raise ValueError(f"{what} contains {twice} twice{cure}")
        for name in (*self.fewer_seeds, *self.strategies):
            if (after := self.before(name)) and len(self.seeds_of(after)) < len(self.seeds_of(name)):
                raise ValueError(f"strategy {name!r} continues from {after!r}, which has fewer seeds")
        return self

    def seeds_of(self, strategy: str) -> list[int]:
        """Return the seeds of a strategy."""
        return self.seeds[: self.fewer_seeds.get(strategy)]

    def before(self, name: str) -> str | None:
        """Return the strategy whose network another continues from; None if that is new or from a file."""
        after = self.strategy(name).after
        return after if after in self.strategies else None

    def strategy(self, name: str) -> Strategy:
        """Return a strategy by name, own ones first."""
        if name not in self.custom_strategies and name not in STRATEGIES:
            discover()
        known = {**STRATEGIES, **self.custom_strategies}
        if name not in known:
            raise ValueError(f"there is no strategy {name!r}; {instead(name, list(known))}")
        return known[name]

    def training_of(self, network: NetworkSettings) -> TrainingSettings:
        """Return the settings of training, with those that are a network's own."""
        own = _merged(self.training.model_dump(), network.training)
        return parse(TrainingSettings, own, f"training of {network.label}")


def read_config(path: str | Path) -> RunSettings:
    """Read the configuration of a run from YAML.

    A file with ``extends: other.yaml`` contains only what differs from that one: sections are merged, lists and single
    values replaced.

    Raises
    ------
    ConfigError
        If a file is absent, not YAML, extends itself, or contains an unknown or impossible setting.
    """
    content = _content(Path(path), ())
    load_plugins_of(content, Path(path).parent)
    return parse(RunSettings, content, str(path))


def _content(path: Path, extending: tuple[Path, ...]) -> Any:
    """Return the content of a file, merged into what it extends."""
    if path.resolve() in extending:
        raise ConfigError(f"{path}: it extends itself")
    content = read_yaml(path)
    if not isinstance(content, dict) or "extends" not in content:
        return content
    if not isinstance(other := content.pop("extends"), str):
        raise ConfigError(f"{path}: extends should be a file such as other.yaml, not {other!r}")
    return _merged(_content(path.parent / other, (*extending, path.resolve())), content)


def _merged(base: Any, changes: Any) -> Any:
    """Return a section with changes; anything but a section is replaced."""
    if not (isinstance(base, dict) and isinstance(changes, dict)):
        return changes
    return base | {key: _merged(base.get(key), value) for key, value in changes.items()}


def dump_yaml(settings: BaseModel) -> str:
    """Return settings as YAML, all defaults written out."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, width=120)
