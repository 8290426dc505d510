from dataclasses import replace
from pathlib import Path

import pytest
import torch

from editar_cli.checkpoints.native import load_bundle
from editar_cli.config import SamplingConfig
from editar_cli.decoding.decoder import decode
from editar_cli.engine import EditResult, Engine, image_seed

SAMPLING = SamplingConfig(guidance=2.0, top_k=16)
PROMPTS = ["make it snowy", "add a red hat", "at night", "warmer"] * 2
SEEDS = [image_seed(0, f"{i}.jpg") for i in range(8)]


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> Engine:
    return Engine(load_bundle(tiny_bundle))


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    coarse = torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear") * 2 - 1


def edit(
    engine: Engine, pixels: torch.Tensor, rows: list[int], sampling: SamplingConfig = SAMPLING
) -> EditResult:
    prompts = [PROMPTS[i] for i in rows]
    return engine.edit(pixels[rows], prompts, [SEEDS[i] for i in rows], sampling)


def test_an_edit_gives_codes_and_pixels_of_every_picture(engine: Engine, pixels: torch.Tensor):
    steps: list[tuple[int, int]] = []
    result = engine.edit(
        pixels[:3], PROMPTS[:3], SEEDS[:3], SAMPLING, lambda *step: steps.append(step)
    )
    for codes in (result.source_codes, result.edited_codes):
        assert codes.shape == (3, 8, 8) and codes.dtype == torch.int64
        assert codes.min() >= 0 and codes.max() < 64
    for image in (result.decoded_source, result.decoded_edited):
        assert image.shape == (3, 3, 32, 32) and image.dtype == torch.float32
        assert image.min() >= -1 and image.max() <= 1
    assert steps[-1] == (192, 192)
    assert len(result.passes) == 3 and max(result.passes) < 64


def test_the_decoded_pixels_are_those_of_the_codes(engine: Engine, pixels: torch.Tensor):
    result = edit(engine, pixels, [0, 1])
    assert torch.equal(result.source_codes, engine.encode(pixels[:2]))
    for codes, image in (
        (result.source_codes, result.decoded_source),
        (result.edited_codes, result.decoded_edited),
    ):
        torch.testing.assert_close(engine.detokenize(codes), image, rtol=0, atol=1e-5)


def test_codes_are_the_same_for_batches_of_1_3_and_8_in_any_order(
    engine: Engine, pixels: torch.Tensor
):
    together = edit(engine, pixels, list(range(8)))
    order = [6, 1, 4, 0, 7, 3, 2, 5]
    for size in (1, 3, 8):
        for start in range(0, 8, size):
            rows = order[start : start + size]
            found = edit(engine, pixels, rows)
            assert torch.equal(found.source_codes, together.source_codes[rows])
            assert torch.equal(found.edited_codes, together.edited_codes[rows])


def test_seed_and_instruction_both_change_the_result(engine: Engine, pixels: torch.Tensor):
    one = pixels[:1]
    first = engine.edit(one, ["make it snowy"], [1], SAMPLING).edited_codes
    assert torch.equal(engine.edit(one, ["make it snowy"], [1], SAMPLING).edited_codes, first)
    other_seed = engine.edit(one, ["make it snowy"], [2], SAMPLING).edited_codes
    other_text = engine.edit(one, ["at night"], [1], replace(SAMPLING, guidance=5.0)).edited_codes
    assert (other_seed != first).float().mean() > 0.3
    assert (other_text != first).float().mean() > 0.1


def test_bfloat16_runs_and_keeps_the_tokenizer_exact(
    tiny_bundle: Path, engine: Engine, pixels: torch.Tensor
):
    half = Engine(load_bundle(tiny_bundle, dtype=torch.bfloat16))
    assert half.rows(1, SAMPLING).cache.keys.dtype == torch.bfloat16
    result = edit(half, pixels, [0, 1, 2])
    assert torch.equal(result.source_codes, engine.encode(pixels[:3]))
    assert result.decoded_edited.dtype == torch.float32


def test_pixels_beyond_the_range_are_cut(engine: Engine):
    with torch.inference_mode():
        raw = engine.tokenizer.decode(torch.arange(64).view(1, 8, 8))
    found = engine.detokenize(torch.arange(64).view(1, 8, 8))
    assert torch.equal(found, raw.clamp(-1, 1))


def test_a_pictures_seed_is_frozen():
    # A change here changes every picture that anyone made with a seed.
    assert image_seed(0, "a.jpg") == 8120102122955035375
    assert image_seed(1, "trip/b.jpg") == 1213802488894798989


def test_a_pictures_seed_depends_on_the_run_and_its_path_alone():
    seeds = [image_seed(s, f"{i}.jpg") for s in range(20) for i in range(50)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62, "the upper bits are used"
    # No seed and path can be put together to mean another pair.
    assert image_seed(1, "2.jpg") != image_seed(12, ".jpg")


def test_cells_that_may_not_change_keep_their_codes(engine: Engine, pixels: torch.Tensor):
    changeable = torch.zeros(2, 8, 8, dtype=torch.bool)
    changeable[0, 2:5, 3:7] = True
    result = engine.edit(pixels[:2], PROMPTS[:2], SEEDS[:2], SAMPLING, changeable=changeable)
    assert torch.equal(result.edited_codes[~changeable], result.source_codes[~changeable])
    assert (result.edited_codes[changeable] != result.source_codes[changeable]).any()
    assert result.passes[1] == 0, "nothing to decide"


def test_fewer_rows_than_pictures_give_the_same(engine: Engine, pixels: torch.Tensor):
    together = edit(engine, pixels, list(range(8)))
    one_by_one = engine.edit(pixels, PROMPTS, SEEDS, SAMPLING, slots=1)
    assert torch.equal(one_by_one.edited_codes, together.edited_codes)


def test_where_memory_runs_out_fewer_pictures_run_at_once(
    engine: Engine, pixels: torch.Tensor, monkeypatch: pytest.MonkeyPatch
):
    expected = edit(engine, pixels, list(range(5)))

    def narrow(*args, rows, **more):
        if rows.count > 2:
            raise torch.OutOfMemoryError("out of memory")
        return decode(*args, rows=rows, **more)

    monkeypatch.setattr("editar_cli.engine.decode", narrow)
    found = engine.edit(pixels[:5], PROMPTS[:5], SEEDS[:5], SAMPLING, slots=5)
    assert torch.equal(found.edited_codes, expected.edited_codes)


def test_without_room_for_one_picture_it_is_a_memory_error(
    engine: Engine, pixels: torch.Tensor, monkeypatch: pytest.MonkeyPatch
):
    def none(*args, **more):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("editar_cli.engine.decode", none)
    with pytest.raises(MemoryError):
        edit(engine, pixels, [0, 1])


def test_pictures_at_once_follow_the_free_memory(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine, "_rows", None)
    for free, expected in ((0, 1), (10**12, 4)):
        monkeypatch.setattr("editar_cli.engine.free_memory", lambda device, free=free: free)
        assert engine.slots(SAMPLING) == expected
