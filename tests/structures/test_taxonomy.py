"""The taxonomy turns raw ids into class ids and back."""

import numpy as np
import pytest

from ps3d.structures import VOID, Category, Taxonomy

TAXONOMY = Taxonomy(
    "toy",
    (Category("road", (7, 9), False, (128, 64, 128)), Category("car", (26, -1), True, (0, 0, 142))),
    void_raw_ids=(0, 3),
)


def test_raw_ids_become_places_in_the_list_and_void_stays_void():
    raw = np.array([[7, 9], [26, -1], [0, 3]], np.int32)
    assert TAXONOMY.encode(raw).tolist() == [[0, 0], [1, 1], [VOID, VOID]]


def test_decoding_writes_the_first_raw_id():
    assert TAXONOMY.decode(np.array([0, 1, VOID], np.uint8)).tolist() == [7, 26, 0]


@pytest.mark.parametrize("raw", [5, 300, -7])
def test_an_unknown_id_is_named_with_its_file(raw):
    with pytest.raises(ValueError, match=rf"000001.label.*{raw}"):
        TAXONOMY.encode(np.array([7, raw], np.int32), where="000001.label")


def test_a_raw_id_in_two_classes_is_refused():
    with pytest.raises(ValueError, match="twice"):
        Taxonomy("bad", (Category("a", (1,), False, (0, 0, 0)), Category("b", (1,), False, (0, 0, 0))))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(KeyError, match="road, car"):
        TAXONOMY.index("tram")
