"""Models are built once, appear whole or not at all, and a bad folder is one clear line."""

import multiprocessing
from pathlib import Path

import pytest
from openppu_sim.errors import UserError
from openppu_sim.simulator.model_cache import content_key, keep_only, make_once


def test_the_key_depends_on_every_part_and_on_their_borders():
    keys = {content_key(), content_key(""), content_key("ab"), content_key("a", "b"), content_key("b", "a")}
    assert len(keys) == 5
    assert content_key("a", b"b") == content_key(b"a", "b")


def test_a_model_is_built_once(tmp_path):
    built = []

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "program").write_text("x")

    first = make_once(tmp_path / "new" / "models", "m", build)
    assert make_once(tmp_path / "new" / "models", "m", build) == first == tmp_path / "new" / "models" / "m"
    assert len(built) == 1
    assert (first / "program").read_text() == "x"
    assert not built[0].exists()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_build_leaves_nothing_that_looks_finished(tmp_path, error):
    def build(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise error

    with pytest.raises(error):
        make_once(tmp_path, "m", build)
    assert [path.name for path in tmp_path.iterdir()] == [".m.lock"]
    assert make_once(tmp_path, "m", lambda folder: None) == tmp_path / "m"


def build_slowly(root: Path, barrier, built) -> None:
    """One of several processes that want the same model at once."""

    def build(folder: Path) -> None:
        with built.get_lock():
            built.value += 1

    barrier.wait()
    make_once(root, "m", build)
    assert (root / "m").is_dir()


def test_processes_that_want_the_same_model_build_it_once(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, built = context.Barrier(4), context.Value("i", 0)
    workers = [context.Process(target=build_slowly, args=(tmp_path, barrier, built)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    assert built.value == 1


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file" / "models", tmp_path / "file", Path("/proc/models")):
        with pytest.raises(UserError, match=r"cannot be written: .*; choose another") as error:
            make_once(root, "m", lambda folder: None)
        assert str(root) in str(error.value)


@pytest.mark.parametrize("name", ["a b", "a#b", "a:b", "a;b"])
def test_a_path_that_make_misreads_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="make cannot build below a path with spaces"):
        make_once(tmp_path / name, "m", lambda folder: None)


def test_only_the_named_files_stay(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x.o").write_text("")
    for name in ("program", "a.o", "b.cpp"):
        (tmp_path / name).write_text("")
    keep_only(tmp_path, ["program", "absent"])
    assert [path.name for path in tmp_path.iterdir()] == ["program"]
