"""Opening a SQLite file as a store: is it one, may it be written, and what its faults mean to a person.

Nothing is written to a file before it is known to be a store (or empty).
"""

import os
import sqlite3
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from pacesetter.errors import StoreError
from pacesetter.store._schema import MARK, VERSION, metadata

__all__ = ["connect", "fault", "path_of"]

_MAGIC = b"SQLite format 3\x00"
_PREFIX = "sqlite:///"
_HEAD: Final = 100  # bytes in the header of a SQLite file


def path_of(url: str | None) -> Path | None:
    """The file that `url` names, None for a store in memory; StoreError when it names neither."""
    if url is None or url in ("sqlite://", "sqlite:///:memory:"):
        return None
    rest = url.removeprefix(_PREFIX)
    if rest == url or not rest:
        # A bare path is what people type first; anything with a scheme is another database.
        hint = f"did you mean '{_PREFIX}{url}'?" if url and ":" not in url else "a store is a SQLite file"
        raise StoreError(f"`store` must be a URL such as {_PREFIX}pacesetter.db, got store={url!r}: {hint}")
    return Path(rest)


def connect(url: str | None, timeout: float, must_exist: bool) -> Engine:
    """An engine on the store at `url`, made if there is none; StoreError when what lies there is none of ours."""
    path = path_of(url)
    if path is not None:
        _look(path, must_exist)
    writable = path is None or _may_write(path)
    engine = _engine(path, timeout, writable)
    try:
        _admit(engine, str(url))
        if path is not None and writable:
            _write_ahead(engine, timeout)
    except DBAPIError as error:
        engine.dispose()
        raise fault(error, str(url)) from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def _look(path: Path, must_exist: bool) -> None:
    """Refuse, without opening it as a database, what cannot be one."""
    got = f"got store='{_PREFIX}{path}'"
    try:
        if path.is_dir():
            raise StoreError(f"`store` must name a file, {got}: that is a folder; name a file in it")
        if not path.exists():
            if must_exist:
                raise StoreError(f"`store` must exist, {got}: there is no such file")
            if not path.parent.is_dir():
                raise StoreError(f"`store` must lie in a folder that exists, {got}: make {path.parent} first")
            return
        with path.open("rb") as file:
            head, size = file.read(_HEAD), file.seek(0, os.SEEK_END)
    except OSError as error:
        raise StoreError(f"`store` must be readable, {got}: {error.strerror}") from error
    if size and not head.startswith(_MAGIC):
        raise StoreError(f"`store` must be a Pacesetter store, {got}: that is not a SQLite file; it was left as it is")
    if size and not _pending(path) and size < _stated_size(head):
        raise StoreError(
            f"`store` must be whole, {got}: the file is cut short ({size} of {_stated_size(head)} bytes); "
            "it was left as it is"
        )


def _pending(path: Path) -> bool:
    """Whether a log lies beside the store, of a writer at work or killed: the file alone is then not all."""
    logs = (path.with_name(path.name + suffix) for suffix in ("-wal", "-journal"))
    return any(log.exists() and log.stat().st_size > 0 for log in logs)


def _stated_size(head: bytes) -> int:
    """The size a SQLite file's first 100 bytes say it has (https://www.sqlite.org/fileformat.html, section 1.3)."""
    if len(head) < _HEAD:
        return _HEAD
    if head[24:28] != head[92:96]:  # written by a version of SQLite that does not state it
        return 0
    page = int.from_bytes(head[16:18], "big")
    return int.from_bytes(head[28:32], "big") * (65536 if page == 1 else page)


def _may_write(path: Path) -> bool:
    effective = os.access in os.supports_effective_ids
    return all(os.access(place, os.W_OK, effective_ids=effective) for place in (path, path.parent) if place.exists())


def _engine(path: Path | None, timeout: float, writable: bool) -> Engine:
    target, uri = (":memory:" if path is None else str(path)), False
    if path is not None and not writable:
        # May be read all the same. Without a log beside it nobody is writing, and SQLite needs no helper files.
        target, uri = f"file:{quote(str(path))}?mode=ro" + ("" if _pending(path) else "&immutable=1"), True

    def creator() -> sqlite3.Connection:
        # isolation_level=None: transactions begin where we say, not where the driver guesses.
        connection = sqlite3.connect(target, timeout, isolation_level=None, check_same_thread=False, uri=uri)
        connection.execute("PRAGMA foreign_keys = ON")
        # With a write-ahead log, NORMAL keeps every commit through a killed process and never corrupts the file;
        # only a power cut may take the last few commits. FULL would wait for the disk at each of them.
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    # One connection in memory, because each would have a database of its own.
    engine = create_engine("sqlite://", creator=creator, poolclass=StaticPool if path is None else QueuePool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer takes its place in the queue at once: one that reads first and then writes could not be let wait.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _admit(engine: Engine, url: str) -> None:
    """Make the tables in an empty database; refuse any that is not a store of this version."""
    with engine.connect() as connection:
        empty = not inspect(connection).get_table_names()
    if empty:
        with engine.execution_options(writes=True).begin() as connection:
            # Looked at again under the lock: another process may have made them in between.
            if not inspect(connection).get_table_names():
                metadata.create_all(connection)
                connection.execute(insert(MARK).values(version=VERSION))
    with engine.connect() as connection:
        if not inspect(connection).has_table(MARK.name):
            raise StoreError(
                f"`store` must be a Pacesetter store, got store={url!r}: that is another program's database; "
                "it was left as it is"
            )
        version = connection.execute(select(MARK.c.version)).scalar()
    if version != VERSION:
        what = "a newer Pacesetter wrote it; upgrade this one" if (version or 0) > VERSION else "it is damaged"
        raise StoreError(f"`store` must be of version {VERSION}, got version={version} in store={url!r}: {what}")


def _write_ahead(engine: Engine, timeout: float) -> None:
    """Switch the file to a write-ahead log (readers and the writer do not wait for each other); it stays switched."""
    deadline = time.monotonic() + timeout
    while True:
        # Outside a transaction, where alone it can be switched; SQLite does not queue for this lock, so we do.
        connection = engine.raw_connection()
        try:
            cursor = connection.cursor()
            if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                raise DBAPIError("PRAGMA journal_mode", None, error) from error
            time.sleep(0.01)
        finally:
            connection.close()


def fault(error: DBAPIError, url: str, kept: str = "") -> StoreError:
    """What a database error means to a person; `kept` says what is safe all the same."""
    cause = error.orig
    name = getattr(cause, "sqlite_errorname", "")
    family = "_".join(name.split("_")[:2])
    rule, what = {
        "SQLITE_FULL": ("have room on its disk", "the disk is full; make room and run the same command again"),
        "SQLITE_IOERR": ("be on a disk that works", f"{cause}; is the disk full? Make room and run the same again"),
        "SQLITE_BUSY": ("be free to write", "another program keeps it locked; end that one and run the same again"),
        "SQLITE_LOCKED": ("be free to write", "another program keeps it locked; end that one and run the same again"),
        "SQLITE_READONLY": ("be writable", "the file or its folder is read-only; name another store"),
        "SQLITE_CANTOPEN": ("be writable", "the file or its folder cannot be opened; name another store"),
        "SQLITE_PERM": ("be writable", "the file or its folder is read-only; name another store"),
        "SQLITE_CORRUPT": ("be whole", "the file is damaged; restore a copy or name another store"),
        "SQLITE_NOTADB": ("be a Pacesetter store", "that is not a SQLite file; it was left as it is"),
    }.get(family, ("work", str(cause)))
    return StoreError(f"`store` must {rule}, got store={url!r}: {what}{kept and f'. Kept: {kept}'}")
