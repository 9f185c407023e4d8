"""Does `storage/rows.py` still pay on SQLite? Whole check-ins are recorded with it and with SQLAlchemy's own executemany,
in turns, on one database: `python -m bench.rows [--rounds 8]`."""

import argparse
import gc
import statistics
import tempfile
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from pydantic import SecretStr
from sqlalchemy import bindparam, inspect, or_, update
from sqlalchemy.dialects import sqlite

from app.migrating import upgrade
from app.settings import Settings
from app.storage import Database, new_id, rows
from bench import clinics
from bench.bulk import _posts, _record


def by_sqlalchemy(db: Any, written: rows.Rows, what: str) -> None:
    """Does what `rows._write` does, with SQLAlchemy's own statements."""
    db.flush()
    for model, some in written.items():
        if some:
            table = inspect(model).local_table
            columns = [column.name for column in table.columns] if what in ("insert", "upsert") else []
            keys = [column.name for column in table.primary_key]
            if what == "insert":
                values = [{name: row[name] for name in columns} for row in some]
                db.connection().execute(table.insert(), values)
            elif what == "upsert":
                statement = sqlite.insert(table)
                replaced = {name: statement.excluded[name] for name in columns if name not in keys}
                differs = or_(*(table.c[name].is_distinct_from(value) for name, value in replaced.items()))
                statement = statement.on_conflict_do_update(index_elements=keys, set_=replaced, where=differs)
                db.connection().execute(statement, [{name: row[name] for name in columns} for row in some])
            else:
                mine = [table.c[key] == bindparam(f"key_{key}") for key in keys]
                values = [{what: row[what], **{f"key_{key}": row[key] for key in keys}} for row in some]
                db.connection().execute(update(table).where(*mine).values({what: bindparam(what)}), values)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        settings = Settings(
            database_url=f"sqlite:///{Path(folder)}/h.db",
            migration_database_url=None,
            secret_key=SecretStr(str(new_id())),
        )
        upgrade(settings)
        database = Database(settings.database_url, settings.secret)
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)  # as the service runs
        for size in (1, 64):
            spent: dict[str, list[float]] = {"ours": [], "sqlalchemy": []}
            for number in range(options.rounds):
                for way in ("ours", "sqlalchemy") if number % 2 else ("sqlalchemy", "ours"):
                    clinic = clinics.filled(database, 64, 3, number, timedelta(days=200))
                    posts = _posts(clinic, 64 * 33)[:: 33 if size > 1 else 1][: 64 if size > 1 else 300]
                    replaced = rows._write if way == "ours" else by_sqlalchemy
                    with mock.patch.object(rows, "_write", replaced):
                        began = time.process_time()
                        for first in range(0, len(posts), size):
                            some = posts[first : first + size]
                            database.writing(clinic.id, partial(_record, clinic_id=clinic.id, posts=some))
                        spent[way].append((time.process_time() - began) / len(posts) * 1e6)
            ratios = [theirs / ours for ours, theirs in zip(*spent.values(), strict=True)]
            mine, others = (statistics.median(found) for found in spent.values())
            print(
                f"{size} check-ins at once: {mine:.0f} µs each with rows.py, {others:.0f} with SQLAlchemy's executemany; "
                f"{statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})"
            )
        database.close()


if __name__ == "__main__":
    main()
