"""What a scan knows so far: one SQLite file in the folder of the report, which any kill leaves whole.

One process writes; another scan into the same folder is refused. Rows are kept by the unit they are of and their number
in it, so that the order in which processes finish leaves no trace.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .look import Row
from .units import Trouble, Unit

__all__ = ["GALLERY", "Ledger"]

VERSION = 1
# How many suspicious pictures are kept to be shown: those with the smallest p-values.
GALLERY = 60
_EVERY = 0.2  # seconds between two commits, which wait for no disk
_TABLES = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS units (
    unit BLOB PRIMARY KEY, stamp TEXT, complete INTEGER, run INTEGER, file BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
    unit BLOB, number INTEGER, id BLOB, kind TEXT, p REAL, row TEXT, PRIMARY KEY (unit, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_p ON rows (p, unit, number) WHERE p IS NOT NULL;
CREATE TABLE IF NOT EXISTS pictures (unit BLOB, number INTEGER, name TEXT, png BLOB, PRIMARY KEY (unit, number, name))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS moves (source BLOB PRIMARY KEY, target BLOB, id BLOB, done INTEGER) WITHOUT ROWID;
"""


class Ledger:
    """The ledger at ``path``, made if need be; a context manager. RuntimeError while another scan writes to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.db = sqlite3.connect(path, timeout=2.0, isolation_level=None)
            # Exclusive: the lock is held until this process ends, however it ends. NORMAL: after a loss of power the
            # last second may be missing, nothing else.
            self.db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = NORMAL")
            self.db.execute("PRAGMA wal_autocheckpoint = 2000")
            self.db.execute("BEGIN IMMEDIATE")
            for statement in _TABLES.split(";"):
                self.db.execute(statement)
            self.db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise RuntimeError(f"another scan is writing into {path.parent}; choose another folder") from None
            raise RuntimeError(f"{path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise RuntimeError(f"{path} is no ledger of a scan: {error}; choose another folder") from error
        self.committed = time.monotonic()
        self.open = False

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *exception: object) -> None:
        self.commit()
        self.db.close()

    def _begin(self) -> None:
        if not self.open:
            self.db.execute("BEGIN")
            self.open = True

    def commit(self) -> None:
        """Keep what was added."""
        if self.open:
            self.db.execute("COMMIT")
            self.open = False
        self.committed = time.monotonic()

    # What the rows were made with.

    def settle(self, settings: Mapping[str, Any]) -> int:
        """Write the settings of a new ledger, or compare them; the number of this run.

        ValueError where the ledger was made with other ones, naming those that differ.
        """
        wanted = {name: json.dumps(value, sort_keys=True) for name, value in {"version": VERSION, **settings}.items()}
        known = dict(self.db.execute("SELECT name, value FROM settings WHERE name != 'run'"))
        if known and known != wanted:
            name = next(one for one in [*known, *wanted] if known.get(one) != wanted.get(one))
            raise ValueError(
                f"{self.path.parent} was made with {name} = {known.get(name)}, now it is {wanted.get(name)}; "
                "choose another folder, or the same options to go on"
            )
        last = self.db.execute("SELECT value FROM settings WHERE name = 'run'").fetchone()
        run = int(last[0]) + 1 if last else 1
        self._begin()
        self.db.executemany("INSERT OR REPLACE INTO settings VALUES (?, ?)", [*wanted.items(), ("run", str(run))])
        self.commit()
        return run

    # Units and rows.

    def begin(self, unit: Unit, run: int) -> tuple[bool, set[int]]:
        """Note that this run has come to the unit: whether all of it is known, and the numbers of the rows that are.

        What is known of a file that has changed since is forgotten.
        """
        key = os.fsencode(unit.name)
        self._begin()
        known = self.db.execute("SELECT stamp, complete FROM units WHERE unit = ?", (key,)).fetchone()
        if known is not None and known[0] == unit.stamp and unit.trouble is None:
            self.db.execute("UPDATE units SET run = ? WHERE unit = ?", (run, key))
            if known[1]:
                return True, set()
            return False, {n for (n,) in self.db.execute("SELECT number FROM rows WHERE unit = ?", (key,))}
        self._forget("unit = ?", (key,))
        # A file that is one picture can be moved.
        file = os.fsencode(unit.path) if unit.kind == "file" and unit.stamp else None
        self.db.execute("INSERT INTO units VALUES (?, ?, 0, ?, ?)", (key, unit.stamp, run, file))
        return False, set()

    def add(self, rows: Iterable[tuple[str, int, Row]]) -> None:
        """Add rows: (the unit's name, the number in it, the row)."""
        self._begin()
        for unit, number, row in rows:
            key = os.fsencode(unit)
            answer = row.answer
            kind = "image" if answer is not None else "trouble" if row.troubles else "other"
            said = {"answer": answer, "troubles": [one.to_dict() for one in row.troubles]}
            p = float(answer["p_value"]) if answer is not None and row.suspicious else None
            self.db.execute(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?)",
                (key, number, os.fsencode(row.id), kind, p, json.dumps(said)),
            )
            for name, png in row.pictures.items():
                self.db.execute("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?)", (key, number, name, png))
        if time.monotonic() - self.committed > _EVERY:
            self._prune()
            self.commit()

    def complete(self, unit: Unit) -> None:
        """Note that all rows of the unit are there."""
        self._begin()
        self.db.execute("UPDATE units SET complete = 1 WHERE unit = ?", (os.fsencode(unit.name),))

    def finish(self, run: int) -> None:
        """Forget units that this run did not come to: they are there no longer."""
        self._begin()
        self._forget("unit IN (SELECT unit FROM units WHERE run != ?)", (run,))
        self._prune()
        self.commit()

    def _forget(self, which: str, arguments: tuple[Any, ...]) -> None:
        for table in ("pictures", "rows", "units"):
            self.db.execute(f"DELETE FROM {table} WHERE {which}", arguments)

    def _prune(self) -> None:
        """Keep the pictures of the most suspicious alone, whatever the order in which they came."""
        self.db.execute(
            "DELETE FROM pictures WHERE (unit, number) NOT IN "
            "(SELECT unit, number FROM rows WHERE p IS NOT NULL ORDER BY p, unit, number LIMIT ?)",
            (GALLERY,),
        )

    # What is read for the report, in the order of units and numbers.

    def rows(self, kind: str = "") -> Iterator[Row]:
        """All rows, or those of one kind: ``"image"``, ``"trouble"``."""
        where = "WHERE kind = ?" if kind else "WHERE kind != 'other'"
        found = self.db.execute(f"SELECT id, row FROM rows {where} ORDER BY unit, number", (kind,) if kind else ())
        yield from (self._row(id, text) for id, text in found)

    def suspicious(self) -> Iterator[tuple[str, int, Row]]:
        """(unit, number, row) of the suspicious ones."""
        found = self.db.execute("SELECT unit, number, id, row FROM rows WHERE p IS NOT NULL ORDER BY unit, number")
        yield from ((os.fsdecode(unit), number, self._row(id, text)) for unit, number, id, text in found)

    def troubled(self) -> Iterator[Row]:
        """The rows with findings of their own, of pictures that were looked at as well."""
        found = self.db.execute(
            "SELECT id, row FROM rows WHERE kind = 'trouble' OR (kind = 'image' AND row NOT LIKE '%\"troubles\": []}') "
            "ORDER BY unit, number"
        )
        yield from (self._row(id, text) for id, text in found)

    def gallery(self) -> Iterator[tuple[Row, dict[str, bytes]]]:
        """The most suspicious pictures and what is shown of them."""
        found = self.db.execute(
            "SELECT unit, number, id, row FROM rows WHERE p IS NOT NULL ORDER BY p, unit, number LIMIT ?", (GALLERY,)
        ).fetchall()
        for unit, number, id, text in found:
            asked = "SELECT name, png FROM pictures WHERE unit = ? AND number = ?"
            yield self._row(id, text), dict(self.db.execute(asked, (unit, number)))

    def counts(self) -> dict[str, int]:
        """How many rows there are of each kind, and how many are suspicious."""
        counts = {"image": 0, "trouble": 0, "other": 0}
        counts |= dict(self.db.execute("SELECT kind, COUNT(*) FROM rows GROUP BY kind"))
        (counts["suspicious"],) = self.db.execute("SELECT COUNT(*) FROM rows WHERE p IS NOT NULL").fetchone()
        return counts

    def twice(self) -> Iterator[tuple[str, int]]:
        """Ids that more than one row has, and how many."""
        asked = "SELECT id, COUNT(*) FROM rows WHERE kind != 'other' GROUP BY id HAVING COUNT(*) > 1 ORDER BY id"
        yield from ((os.fsdecode(id), count) for id, count in self.db.execute(asked))

    # Moving suspicious files.

    def plan_moves(self, folder: str) -> int:
        """Note that suspicious files are to be moved into ``folder``; how many suspicious pictures are no files."""
        self._begin()
        asked = "SELECT file, id FROM rows JOIN units USING (unit) WHERE p IS NOT NULL AND file IS {} NULL"
        for file, id in self.db.execute(asked.format("NOT")).fetchall():
            path = os.fsencode(os.path.abspath(os.fsdecode(file)))
            self.db.execute("INSERT OR REPLACE INTO moves VALUES (?, ?, ?, 0)", (path, os.fsencode(folder), id))
        self.commit()
        return len(self.db.execute(asked.format("")).fetchall())

    def moves(self) -> list[tuple[str, str, str]]:
        """(path, folder, id) of the files that are still to be moved."""
        found = self.db.execute("SELECT source, target, id FROM moves WHERE done = 0 ORDER BY source").fetchall()
        return [(os.fsdecode(source), os.fsdecode(folder), os.fsdecode(id)) for source, folder, id in found]

    def moved(self, path: str) -> None:
        """Note that a file has been moved."""
        self.db.execute("UPDATE moves SET done = 1 WHERE source = ?", (os.fsencode(path),))

    @staticmethod
    def _row(id: bytes, text: str) -> Row:
        said = json.loads(text)
        return Row(os.fsdecode(id), said["answer"], tuple(Trouble(**one) for one in said["troubles"]))
