"""Frames that no training should be judged by, and teachers that do not know the data."""

import warnings

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

import keel
from keel.errors import DataError, KeelWarning

SETTINGS = {"steps": 2, "batch_size": 2, "validate_every": 2}


@pytest.fixture(scope="module")
def images():
    made = []
    for seed in range(8):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.08, seed=seed)
        atoms.calc = EMT()
        atoms.get_stress()
        made.append(atoms)
    return made


def network():
    return keel.CGCNN(elements=["Cu"], cutoff=4.0, features=8, convolutions=1, hidden=8)


def test_validation_on_the_frames_of_training_is_warned_of(images):
    with pytest.warns(KeelWarning, match="3 of 4 validation frames are also trained on: errors on them measure memory"):
        keel.train(network(), images[:4], validation=images[1:5], settings=SETTINGS)


def test_frames_of_their_own_and_few_repeats_are_not(images):
    with warnings.catch_warnings():
        warnings.simplefilter("error", KeelWarning)
        keel.train(network(), images[:4], validation=images[3:8], settings=SETTINGS)


def test_an_element_that_the_teacher_does_not_know_is_laid_to_the_teacher(images):
    teacher = keel.fit_eam(images).potential
    gold = bulk("Au", cubic=True)
    gold.rattle(0.05, seed=1)
    gold.calc = EMT()
    gold.get_stress()
    learner = keel.CGCNN(elements=["Cu", "Au"], cutoff=4.0, features=8, convolutions=1, hidden=8)
    with pytest.raises(DataError, match="the teacher knows Cu but the structures contain Au"):
        keel.train(learner, [*images, gold], teacher=teacher, strategy="pretrain", settings=SETTINGS)
