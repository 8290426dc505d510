from collections.abc import Iterator
from pathlib import Path

import pytest

from editar_cli.errors import TrainingError
from editar_cli.training.datasets import SCHEMAS
from editar_cli.training.datasets._schema import Row
from editar_cli.training.streams import RowStream, Shard, hub_shards, tar_shards
from tests.training.pair_files import (
    picture,
    published_rows,
    write_parquet,
    write_shards,
    write_tar,
)

PUBLISHED = [name for name, schema in SCHEMAS.items() if schema.repository]


def counting(*sizes: int, opened: list[str] | None = None) -> list[Shard]:
    """Shards of numbered rows; ``opened`` records which were opened."""

    def shard(name: str, first: int, size: int) -> Shard:
        def rows() -> Iterator[Row]:
            if opened is not None:
                opened.append(name)
            yield from ({"n": first + i} for i in range(size))

        return Shard(name=name, open=rows)

    return [shard(f"s{i}", sum(sizes[:i]), size) for i, size in enumerate(sizes)]


def numbers(stream: RowStream, first: int, last: int) -> list[int]:
    return [stream.fetch(i)[1]["n"] for i in range(first, last)]


def test_each_pass_gives_every_row_once_and_in_its_own_order():
    stream = RowStream(counting(5, 7, 8), seed=[3], window=4)
    passes = [numbers(stream, 20 * i, 20 * (i + 1)) for i in range(3)]
    for found in passes:
        assert sorted(found) == list(range(20))
    assert passes[0] != passes[1] != passes[2]


def test_neighbours_are_mixed_within_a_window_and_shards_among_each_other():
    stream = RowStream(counting(40), seed=[0], window=8)
    found = numbers(stream, 0, 40)
    for start in range(0, 40, 8):
        assert sorted(found[start : start + 8]) == list(range(start, start + 8))
    assert found != sorted(found)
    order = [n // 4 for n in numbers(RowStream(counting(*[4] * 10), seed=[0], window=4), 0, 40)]
    assert order != sorted(order)


def test_a_row_is_a_function_of_seed_and_number():
    def fresh() -> RowStream:
        return RowStream(counting(5, 7), seed=[1, 2], window=3)

    straight = numbers(fresh(), 0, 30)
    assert [fresh().fetch(i)[1]["n"] for i in range(30)] == straight
    backwards = fresh()
    assert [backwards.fetch(i)[1]["n"] for i in reversed(range(30))] == straight[::-1]
    assert numbers(RowStream(counting(5, 7), seed=[1, 3], window=3), 0, 30) != straight


def test_a_resumed_stream_opens_no_shard_before_its_place():
    whole = RowStream(counting(10, 10, 10, 10), seed=[5], window=4)
    expected = numbers(whole, 0, 40)
    state = whole.state(33)
    opened: list[str] = []
    resumed = RowStream(counting(10, 10, 10, 10, opened=opened), seed=[5], window=4)
    resumed.load_state(state)
    assert numbers(resumed, 33, 40) == expected[33:]
    assert len(opened) == 1
    assert all(isinstance(value, int) for value in state.values())


def test_the_state_of_a_row_that_is_still_ahead_leads_to_it():
    stream = RowStream(counting(10, 10), seed=[5], window=4)
    expected = numbers(RowStream(counting(10, 10), seed=[5], window=4), 0, 20)
    stream.fetch(2)
    other = RowStream(counting(10, 10), seed=[5], window=4)
    other.load_state(stream.state(17))
    assert numbers(other, 17, 20) == expected[17:]


def test_another_attempt_is_another_row_of_the_window():
    stream = RowStream(counting(8), seed=[0], window=8)
    assert sorted(stream.fetch(3, attempt)[1]["n"] for attempt in range(8)) == list(range(8))


def test_a_shard_that_breaks_off_is_reported_and_the_next_is_read():
    def broken() -> Iterator[Row]:
        yield {"n": 100}
        raise OSError("cut short")

    told: list[tuple[str, str]] = []
    stream = RowStream(
        [*counting(3), Shard(name="bad", open=broken)],
        seed=[0],
        window=2,
        damaged=lambda name, why: told.append((name, why)),
    )
    assert sorted(numbers(stream, 0, 4)) == [0, 1, 2, 100]
    stream.fetch(4)
    assert told[0] == ("bad", "breaks off after 1 rows: cut short")


def test_shards_without_rows_end_in_an_error_and_not_in_silence():
    stream = RowStream([Shard(name="empty", open=lambda: iter(()))], seed=[0], window=2)
    with pytest.raises(TrainingError, match="empty: no row can be read"):
        stream.fetch(0)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_every_published_schema_is_streamed_from_a_local_path(kind: str, tmp_path: Path):
    folder = write_parquet(tmp_path / "set", published_rows(kind, 9))
    shards, _ = hub_shards(str(folder), "train", SCHEMAS[kind])
    assert len(shards) == 2
    found = [SCHEMAS[kind].pair(row, 0.25) for shard in shards for row in shard.open()]
    assert found == [SCHEMAS[kind].pair(row, 0.25) for row in published_rows(kind, 9)]


def test_a_stream_fetches_only_the_columns_it_needs(tmp_path: Path):
    folder = write_parquet(tmp_path / "set", published_rows("magic-brush", 2), files=1)
    (shard,), _ = hub_shards(str(folder), "train", SCHEMAS["magic-brush"])
    assert set(next(shard.open())) == {"source_img", "target_img", "instruction"}


def test_a_repository_that_cannot_be_opened_or_lacks_columns_is_named(tmp_path: Path):
    folder = write_parquet(tmp_path / "set", published_rows("magic-brush", 2), files=1)
    with pytest.raises(TrainingError, match=r"no column Instruction_VLM-LLM, which data of kind"):
        hub_shards(str(folder), "train", SCHEMAS["pipe"])
    with pytest.raises(TrainingError, match=r"name a local copy with path"):
        hub_shards(str(folder), "nosuchsplit", SCHEMAS["magic-brush"])
    with pytest.raises(TrainingError, match=r"name a local copy with path"):
        hub_shards(str(tmp_path / "none"), "train", SCHEMAS["magic-brush"])


def test_tar_shards_are_read_member_by_member(tmp_path: Path):
    told: list[tuple[str, str]] = []
    shards = tar_shards(
        write_shards(tmp_path / "set", [3, 2]), lambda name, why: told.append((name, why))
    )
    assert [shard.name for shard in shards] == ["00000.tar", "00001.tar"]
    pairs = [SCHEMAS["webdataset"].pair(row, 0.0) for shard in shards for row in shard.open()]
    assert [pair.instruction for pair in pairs] == [f"edit {i}" for i in range(5)]
    assert [pair.target for pair in pairs] == [picture(2 * i + 1) for i in range(5)]
    assert told == []


def test_a_tar_cut_short_gives_what_is_whole_and_says_so(tmp_path: Path):
    folder = write_shards(tmp_path / "set", [4])
    file = folder / "00000.tar"
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * 0.55)])
    told: list[tuple[str, str]] = []
    (shard,) = tar_shards(folder, lambda name, why: told.append((name, why)))
    found = [row["__key__"] for row in shard.open()]
    assert found[:2] == ["0000", "0001"] and len(found) < 4
    assert told and told[0][0] == "00000.tar"


def test_tar_shards_that_are_not_there_are_named(tmp_path: Path):
    for path in (tmp_path, tmp_path / "none.tar"):
        with pytest.raises(TrainingError, match=r"no \.tar shards there"):
            tar_shards(path, lambda name, why: None)


def test_samples_of_a_shard_are_named_by_their_key(tmp_path: Path):
    write_tar(tmp_path / "a.tar", [("fox.txt", b"edit")])
    shards = tar_shards(tmp_path, lambda name, why: None)
    assert RowStream(shards, seed=[0], window=1).fetch(0)[0] == "a.tar:fox"
