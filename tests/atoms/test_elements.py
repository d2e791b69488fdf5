"""Names and numbers of elements and of their pairs."""

import pytest

from keel.atoms.elements import atomic_number, atomic_numbers_of, pair_name, pair_numbers, symbol
from keel.errors import DataError


def test_names_of_pairs_begin_with_the_lower_atomic_number():
    for first, second in ((14, 8), (8, 14), (15, 15)):
        assert sorted(pair_numbers(pair_name(first, second))) == sorted((first, second))
    assert (pair_name(14, 8), pair_numbers("Si-O")) == ("O-Si", (14, 8))


@pytest.mark.parametrize("name", ["O", "total", "O-Si-O", "", "O-", "O-Xx", "O Si"])
def test_what_names_no_pair(name):
    with pytest.raises(DataError, match=r"is not a (pair of elements such as 'O-Si'|chemical element)"):
        pair_numbers(name)


@pytest.mark.parametrize("element", ["Xx", "si", "", 0, -1, 119])
def test_what_is_no_element(element):
    with pytest.raises(DataError, match="is not a chemical element"):
        atomic_number(element)
    assert atomic_number("Og") == 118 == atomic_number(118)
    assert symbol(8) == "O"


def test_one_element_may_be_given_alone():
    assert atomic_numbers_of("Cu") == atomic_numbers_of(["Cu"]) == atomic_numbers_of((29,)) == [29]
    assert atomic_numbers_of(["Si", 8]) == [14, 8]
