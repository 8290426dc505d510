"""Looks through data sets before the first step: what cannot be trained on, and where.

Found are pictures that cannot be read, pairs of which the halves do not lie on each other, empty
instructions, missing halves, and pairs that are there twice.
"""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from editar_cli.training.datasets._schema import BadRowError, Row
from editar_cli.training.mixture import PairSet
from editar_cli.training.preparation import check_shapes, read

JSON, TEXT = "data.json", "data.txt"
SHOWN = 20
AHEAD = 32
TOLD_EVERY = 500

WORDS = {
    "unreadable": "pictures that cannot be read",
    "missing": "halves of pairs that are not there",
    "size": "pairs whose halves do not lie on each other",
    "empty": "pairs without an instruction",
    "duplicate": "pairs that are there twice",
    "broken shard": "shards that break off",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    Args:
        data: the set.
        row: what its reader calls the row.
        index: its number in a table; ``None`` in a stream.
        kind: a key of ``WORDS``.
        detail: what is wrong, for people.
    """

    data: str
    row: str
    index: int | None
    kind: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One set as far as it was looked through.

    Args:
        data: the set.
        where: file, folder or repository.
        rows: how many it has, ``None`` where nobody says.
        looked_at: how many were looked at.
    """

    data: str
    where: str
    rows: int | None
    looked_at: int


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What was found in all sets."""

    sets: tuple[Checked, ...]
    findings: tuple[Finding, ...]

    def bad_rows(self, data: str) -> list[int]:
        """Numbers of the bad rows of a table."""
        found = [f.index for f in self.findings if f.data == data and f.index is not None]
        return sorted(set(found))

    def text(self) -> str:
        """For people: sets, counts by kind, and the first findings of each set."""
        lines = []
        for one in self.sets:
            rows = "?" if one.rows is None else f"{one.rows:,}"
            found = [f for f in self.findings if f.data == one.data]
            lines.append(
                f"{one.data}: {one.looked_at:,} of {rows} rows looked at in {one.where}, "
                f"{len(found):,} bad"
            )
            for kind, count in sorted(Counter(f.kind for f in found).items()):
                lines.append(f"  {count:,} {WORDS[kind]}")
            lines += [f"    {f.row}: {f.detail}" for f in found[:SHOWN]]
            if len(found) > SHOWN:
                lines.append(f"    ... and {len(found) - SHOWN:,} more in {JSON}")
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> None:
        """Write ``data.json`` and ``data.txt``."""
        (folder / JSON).write_text(
            json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False), encoding="utf-8"
        )
        (folder / TEXT).write_text(self.text(), encoding="utf-8")


def check_sets(
    sets: Sequence[PairSet],
    *,
    limit: int,
    workers: int,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> DataReport:
    """Look through data sets.

    Args:
        sets: opened sets.
        limit: rows that are looked at in each, evenly spaced where there are more; of a stream its
            first ones.
        workers: threads that decode.
        report: told now and then how many rows of how many are looked at.

    Returns:
        Sets and findings, in the order of the rows.
    """
    checked: list[Checked] = []
    findings: list[Finding] = []
    done, total = 0, sum(limit if s.rows is None else min(s.rows, limit) for s in sets)
    with ThreadPoolExecutor(max(1, workers)) as threads:
        for one in sets:
            seen: dict[bytes, str] = {}
            looked_at = 0
            rows = _rows(one, limit, findings)
            while group := list(islice(rows, AHEAD)):
                results = threads.map(partial(_examine, one), [row for _, _, row in group])
                for (index, name, _), (digest, wrong) in zip(group, results, strict=True):
                    if wrong is None and digest in seen:
                        wrong = BadRowError("duplicate", f"is {seen[digest]} once more")
                    if wrong is None:
                        seen[digest] = name
                    else:
                        findings.append(_finding(one, index, name, wrong.kind, wrong.detail))
                looked_at += len(group)
                done += len(group)
                if done // TOLD_EVERY > (done - len(group)) // TOLD_EVERY or done == total:
                    report(done, total)
            checked.append(
                Checked(data=one.name, where=one.where, rows=one.rows, looked_at=looked_at)
            )
    return DataReport(sets=tuple(checked), findings=tuple(findings))


def _rows(
    one: PairSet, limit: int, findings: list[Finding]
) -> Iterator[tuple[int | None, str, Row]]:
    if one.table is not None:
        count = len(one.table)
        for index in np.unique(np.linspace(0, count - 1, min(limit, count)).astype(np.int64)):
            name = one.table.name(int(index))
            try:
                row = one.table.row(int(index))
            except BadRowError as wrong:
                findings.append(_finding(one, int(index), name, wrong.kind, wrong.detail))
            else:
                yield int(index), name, row
        return
    left = limit
    for shard in one.shards:
        number = 0
        try:
            for row in islice(shard.open(), left):
                yield None, f"{shard.name}:{row.get('__key__', number)}", row
                number += 1
        except Exception as error:  # readers raise many kinds; each means the same here
            why = f"breaks off after {number} rows: {error}"
            findings.append(_finding(one, None, shard.name, "broken shard", why))
        left -= number
        if left <= 0:
            return


def _finding(one: PairSet, index: int | None, row: str, kind: str, detail: str) -> Finding:
    return Finding(data=one.name, row=row, index=index, kind=kind, detail=detail)


def _examine(one: PairSet, row: Row) -> tuple[bytes, BadRowError | None]:
    """A digest of the pair, and what is wrong with it."""
    try:
        # The draw chooses among wordings and directions; any of them shows what is wrong.
        pair = one.schema.pair(row, 0.0)
        target = read(pair.target, "target")
        if not one.schema.source_map:
            check_shapes(read(pair.source, "source").size, target.size)
    except BadRowError as wrong:
        return b"", wrong
    digest = hashlib.blake2b(digest_size=16)
    for part in (pair.source, pair.target, pair.instruction.encode()):
        digest.update(hashlib.blake2b(part).digest())
    return digest.digest(), None
