"""Files that people asked for: tried before the work, written whole or not at all."""

import errno
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pacesetter.errors import StoreError
from pacesetter.files import check_folder, whole, writing


def test_an_error_of_the_system_names_argument_path_and_reason() -> None:
    """The message has the rule, what was got and what to do; errors of other kinds pass as they are."""
    rule = r"`out` must be a place that can be written to, got out='a/b' \(No space left on device\): name another"
    with pytest.raises(StoreError, match=rule), writing(Path("a/b"), "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(KeyError), writing("a/b", "out"):
        raise KeyError


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    """Until the block ends the old file is there; then the new one, with the rights of any file one makes."""
    path = tmp_path / "new" / "a.txt"
    with whole(path, "out") as beside:
        beside.write_text("one")
        assert not path.exists()
    with whole(path, "out") as beside:
        beside.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two"
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), ValueError()])
def test_a_file_that_is_cut_off_leaves_the_old_one(tmp_path: Path, error: BaseException) -> None:
    """A full disk, Ctrl-C or a fault in the middle of writing leaves what was there, and no scrap beside it."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    kind = StoreError if isinstance(error, OSError) else type(error)

    def write() -> None:
        with whole(path, "out") as beside:
            beside.write_text("half")
            raise error

    with pytest.raises(kind):
        write()
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_disk_that_takes_no_more_leaves_the_old_file(tmp_path: Path) -> None:
    """The same for real: a process that may write files of 10 kB alone fails to replace a file by a larger one."""
    (tmp_path / "a.txt").write_text("old")
    code = (
        "import sys; from pathlib import Path; from pacesetter.files import whole\n"
        "with whole(Path('a.txt'), 'out') as beside: beside.write_bytes(b'x' * 20_000)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
    )
    assert ran.returncode == 1
    assert "StoreError: `out` must be a place that can be written to, got out='a.txt' (File too large)" in ran.stderr
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("a.txt", "old")]


def test_trying_a_folder_leaves_nothing(tmp_path: Path) -> None:
    """A folder that is there, and one that could be made, are found good, and neither is changed."""
    for folder in (tmp_path, tmp_path / "new" / "folder"):
        assert check_folder(str(folder), "out") == folder
        assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    """A file, a place below a file, a link to nowhere and a place where nothing can be made are found."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "link", Path("/proc/nowhere")):
        with pytest.raises(StoreError, match=r"`out` must be a place that can be written to, got out='.*' \(.+\)"):
            check_folder(folder, "out")
