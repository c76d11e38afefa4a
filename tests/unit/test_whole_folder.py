from pathlib import Path

import pytest

from training.whole_folder import written_whole


def test_what_was_filled_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "new" / "bundle"
    for text in ("first", "second"):
        with written_whole(out) as folder:
            assert not list(folder.iterdir())
            (folder / text).write_text(text)
    assert [path.name for path in out.iterdir()] == ["second"]
    assert [path.name for path in out.parent.iterdir()] == ["bundle"]


def test_a_block_that_raises_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    out.mkdir()
    (out / "kept").touch()
    with pytest.raises(FileNotFoundError), written_whole(out) as folder:
        (folder / "no such folder" / "half").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert [path.name for path in out.iterdir()] == ["kept"]


def test_a_link_goes_on_pointing_where_it_did(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.mkdir()
    link.symlink_to(target)
    with written_whole(link) as folder:
        (folder / "file").touch()
    assert link.is_symlink()
    assert (target / "file").exists()
