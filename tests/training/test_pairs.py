from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from editar_cli.models.vq import VQConfig, VQTokenizer
from editar_cli.modes import canny, depth, segmentation
from editar_cli.synthesis import EFFECTS
from editar_cli.training.pairs import (
    PairDataset,
    Sample,
    TokenizedPairs,
    read_captions,
    tokenize_pairs,
)
from editar_cli.training.photos import list_photos
from editar_cli.training.recipe import EditorRecipe
from tests.training.painted_data import painted_photo, write_data

# Effects that are quick on any picture.
FEW = ("black_and_white", "sepia", "negative")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("pairs") / "data", photos=3, scenes=2)


def recipe(**changes) -> EditorRecipe:
    weights = {name: float(name in FEW) for name in EFFECTS}
    settings = {"image_size": 16, "edits_per_view": 3, "family_weights": weights, **changes}
    return EditorRecipe(**settings)


def views(data: Path, *, seed: int = 0, held_out: bool = False, **changes) -> PairDataset:
    return PairDataset(
        recipe(**changes),
        list_photos(data / "photos"),
        read_captions(data),
        sorted((data / "scenes").glob("*.depth.png")),
        seed=seed,
        views=100,
        held_out_wording=held_out,
    )


@pytest.fixture(scope="module")
def tokenizer() -> VQTokenizer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = VQConfig(
            codebook_size=64, codebook_dim=4, channels=8, channel_multipliers=(1, 1, 1),
            res_blocks=1, latent_channels=8, norm_groups=2,
        )  # fmt: skip
        return VQTokenizer(config).eval()


def tokenized(
    dataset: PairDataset, tokenizer: VQTokenizer, cache: Path, count: int = 20
) -> TokenizedPairs:
    return tokenize_pairs(
        dataset,
        tokenizer,
        count=count,
        device=torch.device("cpu"),
        workers=0,
        cache=cache,
        report=lambda done, total: None,
    )


def assert_same(a: TokenizedPairs, b: TokenizedPairs) -> None:
    assert torch.equal(a.sources, b.sources) and torch.equal(a.targets, b.targets)
    assert (a.instructions, a.families) == (b.instructions, b.families)


def assert_same_sample(a: Sample, b: Sample) -> None:
    assert (a.instructions, a.families) == (b.instructions, b.families)
    for x, y in zip([*a.sources, *a.targets], [*b.sources, *b.targets], strict=True):
        assert np.array_equal(x, y)


def test_a_view_is_a_function_of_seed_and_number(data: Path):
    first, again, other = views(data), views(data), views(data, seed=1)
    later = {i: again[i] for i in reversed(range(8))}
    for i in range(8):
        assert_same_sample(first[i], later[i])
    assert any(not np.array_equal(first[i].sources[0], other[i].sources[0]) for i in range(8))


def test_the_edits_of_a_view_share_their_source(data: Path):
    sample = views(data, map_share=0.0)[0]
    assert len(sample.sources) == len(sample.targets) == len(sample.instructions) == 3
    for source, target in zip(sample.sources, sample.targets, strict=True):
        assert source.shape == target.shape == (16, 16, 3)
        assert source.dtype == target.dtype == np.uint8
        assert np.array_equal(source, sample.sources[0])
        assert not np.array_equal(source, target)


def test_families_are_drawn_by_their_weights(data: Path):
    dataset = views(data, map_share=0.0)
    families = [family for i in range(30) for family in dataset[i].families]
    assert set(families) == set(FEW)


@pytest.mark.parametrize("held_out", [False, True])
def test_wordings_kept_out_of_training_stay_apart(data: Path, held_out: bool):
    sample = views(data, map_share=0.0, held_out=held_out)[0]
    for family, instruction in zip(sample.families, sample.instructions, strict=True):
        effect = EFFECTS[family]
        assert (instruction in effect.held_out_instructions) == held_out
        assert (instruction in effect.instructions) != held_out


def test_maps_lead_back_to_their_picture(data: Path):
    dataset = views(data, map_share=1.0)
    found = [dataset[i] for i in range(10)]
    prompts = {"canny": canny.PROMPT, "segmentation": segmentation.PROMPT, "depth": depth.PROMPT}
    captions = set()
    for sample in found:
        assert sample.families == ["canny", "segmentation", "depth"]
        for family, instruction in zip(sample.families, sample.instructions, strict=True):
            assert instruction.startswith(prompts[family])
            captions.add(instruction.removeprefix(prompts[family]))
        edges = canny.canny_map(sample.targets[0])
        assert np.array_equal(sample.sources[0], edges)
        assert np.array_equal(sample.targets[0], sample.targets[1])
        assert sample.sources[2].shape == sample.targets[2].shape == (16, 16, 3)
    # Half of the time the caption stands behind the prompt.
    assert "" in captions and captions - {""} <= {f"picture number {i}" for i in range(3)}
    assert len(captions) > 1


def test_a_view_without_scenes_has_no_depth(data: Path):
    dataset = PairDataset(
        recipe(map_share=1.0), list_photos(data / "photos"), {}, [],
        seed=0, views=3, held_out_wording=False,
    )  # fmt: skip
    assert dataset[0].families == ["canny", "segmentation"]
    assert dataset[0].instructions[0] == canny.PROMPT


def test_captions_come_from_the_table_where_there_is_one(data: Path, tmp_path: Path):
    assert read_captions(data)["001.png"] == "picture number 1"
    assert read_captions(tmp_path) == {}


def test_pairs_are_the_codes_of_the_pictures(data: Path, tokenizer: VQTokenizer, tmp_path: Path):
    dataset = views(data, map_share=0.4)
    pairs = tokenized(dataset, tokenizer, tmp_path / "cache")
    assert len(pairs) == 20 and pairs.sources.dtype == pairs.targets.dtype == torch.int32
    samples = [dataset[i] for i in range(8)]
    wanted = [
        (s, t, i)
        for sample in samples
        for s, t, i in zip(sample.sources, sample.targets, sample.instructions, strict=True)
    ][:20]
    assert pairs.instructions == [instruction for _, _, instruction in wanted]

    def codes(pictures: list[np.ndarray]) -> torch.Tensor:
        pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.inference_mode():
            return tokenizer.encode(pixels).flatten(1)

    assert torch.equal(pairs.sources.long(), codes([s for s, _, _ in wanted]))
    assert torch.equal(pairs.targets.long(), codes([t for _, t, _ in wanted]))


def test_pairs_are_read_back_and_not_made_again(
    data: Path, tokenizer: VQTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = tokenized(views(data), tokenizer, tmp_path / "cache")

    def fail(self: PairDataset, index: int) -> Sample:
        raise AssertionError("the cache should have been read")

    monkeypatch.setattr(PairDataset, "__getitem__", fail)
    assert_same(tokenized(views(data), tokenizer, tmp_path / "cache"), first)


def with_other_weights(tokenizer: VQTokenizer) -> VQTokenizer:
    other = VQTokenizer(tokenizer.config).eval()
    other.load_state_dict({name: -value for name, value in tokenizer.state_dict().items()})
    return other


def with_another_photo(data: Path) -> PairDataset:
    dataset = views(data)
    dataset.photos[1] = painted_photo(77)
    return dataset


def with_another_caption(data: Path) -> PairDataset:
    dataset = views(data)
    dataset.captions[0] = "something else"
    return dataset


@pytest.mark.parametrize(
    "changed",
    [
        lambda data: views(data, seed=1),
        lambda data: views(data, map_share=0.9),
        lambda data: views(data, edits_per_view=2),
        lambda data: views(data, held_out=True),
        with_another_photo,
        with_another_caption,
    ],
    ids=["seed", "map_share", "edits_per_view", "wording", "photo", "caption"],
)
def test_a_cache_of_other_pairs_is_not_used(
    data: Path, tokenizer: VQTokenizer, tmp_path: Path, changed: Callable[[Path], PairDataset]
):
    tokenized(views(data), tokenizer, tmp_path / "cache", count=12)
    again = tokenized(changed(data), tokenizer, tmp_path / "cache", count=12)
    assert_same(again, tokenized(changed(data), tokenizer, tmp_path / "fresh", count=12))


def test_a_cache_of_another_tokenizer_or_length_is_not_used(
    data: Path, tokenizer: VQTokenizer, tmp_path: Path
):
    first = tokenized(views(data), tokenizer, tmp_path / "cache", count=12)
    other = tokenized(views(data), with_other_weights(tokenizer), tmp_path / "cache", count=12)
    assert other.instructions == first.instructions
    assert not torch.equal(other.sources, first.sources)
    assert len(tokenized(views(data), tokenizer, tmp_path / "cache", count=5)) == 5
