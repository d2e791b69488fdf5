"""Settings of Python functions: objects, dictionaries of them, or nothing; anything else is one sentence."""

import pytest

import keel
from keel.errors import ConfigError, DataError
from keel.perturbation import PerturbationSettings
from keel.training import TrainingSettings

FRAMES = keel.datasets.phosphorus()[:6]
ARGON = keel.LennardJones(epsilon=0.01, sigma=3.4, cutoff=6.0)


def test_a_dictionary_is_as_good_as_settings():
    assert TrainingSettings.given({"steps": 3}) == TrainingSettings(steps=3)
    assert TrainingSettings.given({}) == TrainingSettings.given(None) == TrainingSettings()
    own = TrainingSettings(steps=7)
    assert TrainingSettings.given(own) is own


@pytest.mark.parametrize("given", [0, False, "", [], PerturbationSettings(), [("steps", 3)]])
def test_nothing_else_passes_for_settings(given):
    with pytest.raises(ConfigError, match="settings must be TrainingSettings or a dictionary of them, not "):
        TrainingSettings.given(given)


def test_training_takes_them_and_names_what_is_wrong():
    def network() -> keel.CGCNN:
        return keel.CGCNN(elements=["P"], features=8, convolutions=1)

    assert keel.train(network(), FRAMES, settings={"steps": 2, "batch_size": 2}).train_steps == 2
    with pytest.raises(ConfigError, match="TrainingSettings: stepz: there is no such setting"):
        keel.train(network(), FRAMES, settings={"stepz": 2})
    with pytest.raises(ConfigError, match="settings must be PerturbationSettings"):
        keel.train(network(), FRAMES, perturbation=False)


def test_dynamics_takes_them_beside_its_own_arguments():
    found = keel.md(ARGON, FRAMES[0], temperature=20, settings={"length_fs": 3, "seed": 4})
    assert (found.length_fs, found.seed, found.temperature) == (3.0, 4, 20.0)
    same = keel.md(ARGON, FRAMES[0], settings=keel.MDSettings(temperature=20, length_fs=3, seed=4))
    assert found.times == same.times
    with pytest.raises(ConfigError, match="settings must be MDSettings or a dictionary of them, not 5"):
        keel.md(ARGON, FRAMES[0], temperature=20, settings=5)


@pytest.mark.parametrize(
    ("given", "sentence"), [(None, "is named by a text or a path, not None"), (3, "not 3"), (".", "this is a folder")]
)
def test_what_is_no_file_of_a_potential_is_told(given, sentence):
    with pytest.raises(DataError, match=sentence):
        keel.load(given)


def test_dimers_are_drawn_for_what_names_a_potential(tmp_path):
    ARGON.save(tmp_path / "lj.json")
    by_name = keel.evaluation.dimers(tmp_path / "lj.json", ["Ar"])
    assert (by_name["Ar-Ar"].energy == keel.evaluation.dimers(ARGON, ["Ar"])["Ar-Ar"].energy).all()
