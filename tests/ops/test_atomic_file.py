"""A file appears whole or not at all."""

import pytest

from ps3d.ops.atomic_file import atomic_write


def test_a_failure_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with atomic_write(path) as name:
        name.write_text("old")

    def fail_half_way():
        with atomic_write(path) as name:
            name.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]
