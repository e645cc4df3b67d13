"""Faults injected for real: killed writers, full disks, files that are not stores, two processes at once."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from pacesetter.errors import StoreError
from pacesetter.records import Curve, Lane, Outcome
from pacesetter.store import Store
from tests.store.studies import append, bits, lanes_of, part_of, study_of

ROOT = Path(__file__).parents[2]

WRITER = """
    import sys
    from pacesetter.records import Outcome
    from pacesetter.store import Store
    from tests.store.studies import append, lanes_of, part_of, study_of

    url, name, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    lanes = lanes_of(8)
    with Store.open(url) as store:
        store.create(study_of(name, lanes))
        for start in range(rounds):
            store.append_many(name, [(lane, part_of(start, 1), Outcome.RUNNING, "") for lane in lanes])
            print(start, flush=True)
"""


def writer(url: str, name: str, rounds: int, setup: str = "") -> "subprocess.Popen[str]":
    """A process that appends to a new study and says after each call which one has returned."""
    code = textwrap.dedent(setup) + textwrap.dedent(WRITER)
    command = [sys.executable, "-c", code, url, name, str(rounds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_writer_loses_nothing_that_was_appended(tmp_path: Path) -> None:
    """After kill -9 in the middle of writing, every append that returned is there, and whole; writing can go on."""
    url = f"sqlite:///{tmp_path}/a.db"
    with writer(url, "s", 440) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(25)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    acknowledged = int(said[-1]) + 1
    with Store.open(url) as store:
        records = store.load("s").lanes
        reached = records[0].curve.steps
        # One append more may have been written than said, but never a part of one.
        assert reached in (acknowledged, acknowledged + 1)
        for record in records:
            assert record.curve.steps == reached
            assert record.curve.train_loss.tolist() == [part_of(k, 1).train_loss[0] for k in range(reached)]
        append(store, "s", records[0].lane, part_of(reached, 1), Outcome.RUNNING, "")


@pytest.mark.parametrize("large", ["append", "create"])
def test_a_full_disk_keeps_what_was_there_and_says_so(tmp_path: Path, large: str) -> None:
    """When no page is left, the call is refused wholly, the message says what is kept, and the store goes on after."""
    url, lanes = f"sqlite:///{tmp_path}/a.db", lanes_of(30)
    with Store.open(url) as store:
        store.create(study_of("s", lanes))
        store.append_many("s", [(lane, part_of(0, 10), Outcome.RUNNING, "") for lane in lanes])
        before = [bits(record.curve) for record in store.load("s").lanes]
        with store._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 3}")
        kept = (
            "0 of 30 lanes ended and 300 steps recorded in study 's'" if large == "append" else "nothing of study 't'"
        )
        last = [(lane, part_of(10, 400), Outcome.FINISHED, "") for lane in lanes]
        calls: dict[str, Callable[[], None]] = {
            "append": lambda: store.append_many("s", last),
            "create": lambda: store.create(study_of("t", lanes, provenance={"text": "x" * 50_000})),
        }
        with pytest.raises(StoreError, match="room on its disk") as caught:
            calls[large]()
        assert kept in str(caught.value)
        assert url in str(caught.value)
        assert [bits(record.curve) for record in store.load("s").lanes] == before
        assert store.names() == ["s"]
        with store._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        calls["append"]()
        assert store.load("s").finished


def test_a_file_that_cannot_grow_keeps_what_was_there(tmp_path: Path) -> None:
    """When the operating system refuses to let the file grow, all acknowledged appends stay readable."""
    url = f"sqlite:///{tmp_path}/a.db"
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
    process = writer(url, "s", 440, limit)
    said, trouble = process.communicate()
    assert process.returncode == 1
    assert "`store` must be on a disk that works" in trouble
    assert "steps recorded in study 's'" in trouble
    with Store.open(url) as store:
        assert {record.curve.steps for record in store.load("s").lanes} == {len(said.splitlines())}


def test_two_processes_write_to_one_store(tmp_path: Path) -> None:
    """Two writers that start at once on a file that is not there yet both end well, and neither loses an append."""
    url = f"sqlite:///{tmp_path}/a.db"
    processes = [writer(url, name, 40) for name in ("a", "b")]
    for process in processes:
        _, trouble = process.communicate()
        assert process.returncode == 0, trouble
    with Store.open(url) as store:
        for name in ("a", "b"):
            assert {record.curve.steps for record in store.load(name).lanes} == {40}


def test_two_stores_cannot_weave_two_curves_into_one(tmp_path: Path) -> None:
    """A second process that trains the same lane is told so at its first append."""
    url, lane = f"sqlite:///{tmp_path}/a.db", lanes_of(1)[0]
    with Store.open(url) as one, Store.open(url) as two:
        one.create(study_of("s", [lane]))
        append(one, "s", lane, part_of(0, 0), Outcome.RUNNING, "")
        with pytest.raises(ValueError, match="is another process training this study"):
            append(two, "s", lane, part_of(0, 0), Outcome.RUNNING, "")
        append(two, "s", lane, part_of(0, 5), Outcome.RUNNING, "")
        assert one.load("s").lanes[0].curve.steps == 5


def test_one_store_sees_what_another_adds(tmp_path: Path) -> None:
    """Lanes that another process has added since are known at the next append."""
    url, lanes = f"sqlite:///{tmp_path}/a.db", lanes_of(3)
    with Store.open(url) as one, Store.open(url) as two:
        one.create(study_of("s", lanes[:2]))
        append(one, "s", lanes[0], part_of(0, 0), Outcome.RUNNING)
        two.add_lanes("s", lanes[2:])
        append(one, "s", lanes[2], part_of(0, 7), Outcome.RUNNING)
        assert [record.curve.steps for record in two.load("s").lanes] == [0, 0, 7]


def test_readers_see_whole_appends_while_another_writes(tmp_path: Path) -> None:
    """Reading never waits for the writer, and sees all lanes of a call or none."""
    url = f"sqlite:///{tmp_path}/a.db"
    with writer(url, "s", 100) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with Store.open(url, must_exist=True) as store:
            seen = [{record.curve.steps for record in store.load("s").lanes} for _ in range(10)]
        process.communicate()
    assert all(len(steps) == 1 for steps in seen)


def test_a_locked_store_is_reported(tmp_path: Path) -> None:
    """A writer that waits in vain says who is in the way instead of hanging, and what is kept."""
    url, lane = f"sqlite:///{tmp_path}/a.db", lanes_of(1)[0]
    with Store.open(url, timeout=0.05) as store, closing(sqlite3.connect(tmp_path / "a.db")) as other:
        store.create(study_of("s", [lane]))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"must be free to write.*0 of 1 lanes ended"):
            append(store, "s", lane, part_of(0, 1), Outcome.RUNNING, "")
        other.rollback()
        append(store, "s", lane, part_of(0, 1), Outcome.RUNNING, "")


def test_an_interrupt_inside_a_call_leaves_nothing_half_done() -> None:
    """Ctrl-C while parts are being gathered undoes that call, and the store goes on."""
    lanes = lanes_of(3)

    def parts() -> Iterator[tuple[Lane, Curve, Outcome, str]]:
        yield (lanes[0], part_of(0, 1), Outcome.RUNNING, "")
        raise KeyboardInterrupt

    with Store.open() as store:
        store.create(study_of("s", lanes))
        with pytest.raises(KeyboardInterrupt):
            store.append_many("s", parts())
        assert store.load("s").cost.lane_steps == 0
        append(store, "s", lanes[0], part_of(0, 1), Outcome.RUNNING, "")


@pytest.mark.parametrize("url", ["pacesetter.db", "postgresql://host/db", "sqlite:///", "", "sqlite:pacesetter.db"])
def test_a_url_that_names_no_sqlite_file_is_refused(url: str) -> None:
    """The message shows what a URL looks like."""
    with pytest.raises(StoreError, match=r"`store` must be a URL such as sqlite:///pacesetter\.db"):
        Store.open(url)


def test_a_bare_path_is_answered_with_its_url() -> None:
    """The commonest slip gets the line to type."""
    with pytest.raises(StoreError, match=r"did you mean 'sqlite:///my\.db'"):
        Store.open("my.db")


def refused(path: Path, match: str) -> None:
    """Opening is refused in words and leaves the file, and the folder around it, as it is."""
    before = path.read_bytes() if path.is_file() else None
    around = sorted(path.parent.iterdir())
    with pytest.raises(StoreError, match=match) as caught:
        Store.open(f"sqlite:///{path}")
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2
    assert (path.read_bytes() if path.is_file() else None) == before
    assert sorted(path.parent.iterdir()) == around


def test_a_text_file_is_no_store(tmp_path: Path) -> None:
    """A file of another kind is refused and not overwritten."""
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n" * 50)
    refused(path, "not a SQLite file")


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    """A folder is named as what it is."""
    refused(tmp_path, "that is a folder")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A store cannot be made in a folder that is not there."""
    with pytest.raises(StoreError, match=r"must lie in a folder that exists.*make .*/no first"):
        Store.open(f"sqlite:///{tmp_path}/no/a.db")


def test_a_missing_store_is_not_made_when_it_must_exist(tmp_path: Path) -> None:
    """Looking at a store that is not there does not make one."""
    with pytest.raises(StoreError, match="there is no such file"):
        Store.open(f"sqlite:///{tmp_path}/a.db", must_exist=True)
    assert not any(tmp_path.iterdir())


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    """Another program's SQLite file gets no table of ours, not even another journal mode."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE studies (id INTEGER)")
    refused(path, "another program's database")


def make(path: Path, lanes: int = 30) -> None:
    """A store of one study at `path`."""
    with Store.open(f"sqlite:///{path}") as store:
        asked = lanes_of(lanes)
        store.create(study_of("s", asked))
        store.append_many("s", [(lane, part_of(0, 200), Outcome.RUNNING, "") for lane in asked])


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9])
def test_a_file_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    """A copy that broke off is recognised before anything is read from it or written to it."""
    path = tmp_path / "a.db"
    make(path)
    os.truncate(path, int(path.stat().st_size * share))
    refused(path, "cut short")


def test_a_file_damaged_inside_is_reported_when_read(tmp_path: Path) -> None:
    """Pages overwritten with rubbish end in a sentence, not in wrong curves."""
    path = tmp_path / "a.db"
    make(path)
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xa5" * (path.stat().st_size - 6 * 4096))
    with pytest.raises(StoreError, match="damaged"), Store.open(f"sqlite:///{path}") as store:
        store.load("s")


@pytest.mark.parametrize(("version", "rule"), [(2, "newer Pacesetter"), (0, "damaged")])
def test_a_store_of_another_version_is_refused(tmp_path: Path, version: int, rule: str) -> None:
    """A newer schema is never guessed at; the message says to upgrade."""
    path = tmp_path / "a.db"
    make(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE pacesetter_store SET version = ?", [version])
        connection.commit()
    refused(path, rf"got version={version}.*{rule}")


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    """A file of no bytes (from `touch`, or a first run that died at once) is taken as a new store."""
    path = tmp_path / "a.db"
    path.touch()
    make(path, 1)
    with Store.open(f"sqlite:///{path}") as store:
        assert store.names() == ["s"]


def test_odd_characters_in_a_path_are_only_characters(tmp_path: Path) -> None:
    """Nothing in a path is taken for a part of a URL."""
    path = tmp_path / "50% of ü?mode=ro&x#1.db"
    make(path, 1)
    assert path.is_file()
    with Store.open(f"sqlite:///{path}") as store:
        assert store.names() == ["s"]


@pytest.mark.parametrize("folder_mode", [0o755, 0o555])
def test_a_read_only_store_can_be_read_and_refuses_changes(
    open_folder: Path, ordinary_user: Callable[[], AbstractContextManager[None]], folder_mode: int
) -> None:
    """Whoever may only read sees the studies; every change is refused in words and changes nothing."""
    path = open_folder / "a b?.db"
    make(path)
    path.chmod(0o444)
    open_folder.chmod(folder_mode)
    lane = lanes_of(30)[0]
    with ordinary_user(), Store.open(f"sqlite:///{path}") as store:
        assert store.load("s").lanes[0].curve.steps == 200
        changes: list[Callable[[], object]] = [
            lambda: store.create(study_of("t", [])),
            lambda: append(store, "s", lane, part_of(200, 1), Outcome.RUNNING, ""),
            lambda: store.update("s", surface={}),
            lambda: store.restart("s", [lane]),
            lambda: store.save_state("s", 1, b""),
        ]
        for change in changes:
            with pytest.raises(StoreError, match="`store` must be writable"):
                change()
        assert store.load("s").lanes[0].curve.steps == 200
        assert store.names() == ["s"]


def test_no_store_is_made_where_nothing_may_be_written(
    open_folder: Path, ordinary_user: Callable[[], AbstractContextManager[None]]
) -> None:
    """A folder that cannot be written is refused at opening, before anything is trained."""
    open_folder.chmod(0o555)
    with ordinary_user(), pytest.raises(StoreError, match="must be writable"):
        Store.open(f"sqlite:///{open_folder}/a.db")


def test_a_file_that_may_not_be_read_is_refused(
    open_folder: Path, ordinary_user: Callable[[], AbstractContextManager[None]]
) -> None:
    """The message says that it cannot be read."""
    path = open_folder / "a.db"
    make(path, 1)
    path.chmod(0o000)
    with ordinary_user(), pytest.raises(StoreError, match="must be readable"):
        Store.open(f"sqlite:///{path}")
