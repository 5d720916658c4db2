"""Run folders that people name."""

from pathlib import Path

import pytest

from controlplane import folders
from controlplane.errors import FolderError


def test_a_new_folder_is_made_and_removed_again(tmp_path: Path) -> None:
    run = folders.take_over(tmp_path / "a" / "b")
    run.make_folders()
    assert folders.is_locked(run.path)
    folders.remove(run.path)
    run.unlock()
    assert not (tmp_path / "a" / "b").exists()


def test_a_folder_that_is_in_use_is_refused(tmp_path: Path) -> None:
    run = folders.take_over(tmp_path)
    with pytest.raises(FolderError, match="a control plane runs in"):
        folders.take_over(tmp_path, patience=0.1)
    run.unlock()


def test_what_a_dead_owner_left_is_cleared(tmp_path: Path) -> None:
    run = folders.take_over(tmp_path)
    run.make_folders()
    (run.logs / "etcd.log").write_text("old")
    run.unlock()
    following = folders.take_over(tmp_path)
    assert not run.logs.exists()
    following.unlock()


@pytest.mark.parametrize("name", ["notes.txt", "logs"])
def test_a_folder_with_files_of_others_is_refused_and_kept(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(FolderError, match=f"no run folder of a control plane: it holds {name}"):
        folders.take_over(tmp_path)
    folders.remove(tmp_path)
    assert (tmp_path / name).exists()


def test_files_that_others_put_into_a_run_folder_are_kept(tmp_path: Path) -> None:
    run = folders.take_over(tmp_path)
    run.make_folders()
    (tmp_path / "notes.txt").write_text("mine")
    folders.remove(tmp_path)
    run.unlock()
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_the_folder_of_all_runs_must_be_ours(own_temporary_folder: Path) -> None:
    parent = folders.parent_folder()
    parent.rmdir()
    parent.symlink_to(own_temporary_folder)
    with pytest.raises(FolderError, match="is not a folder of this user"):
        folders.parent_folder()
