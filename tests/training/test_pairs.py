import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from editar_cli.errors import ModelError, TrainingError
from editar_cli.models.depth import DepthConfig, DepthNetwork
from editar_cli.models.vq import VQConfig, VQTokenizer
from editar_cli.modes import canny, depth, hed, segmentation
from editar_cli.modes._mode import Extract, Extractor, ExtractorSettings
from editar_cli.synthesis import EFFECTS
from editar_cli.synthesis.cutouts import Cutouts
from editar_cli.synthesis.local import LOCAL_EFFECTS
from editar_cli.training import pairs
from editar_cli.training.pairs import (
    HED_SHARE,
    HED_SIDE,
    SCENE_SHARE,
    PairDataset,
    Sample,
    TokenizedPairs,
    keep_outside,
    read_captions,
    tokenize_pairs,
)
from editar_cli.training.photos import list_photos
from editar_cli.training.recipe import EditorRecipe
from tests.synthesis.painted_cutouts import cutout, cutouts
from tests.training.painted_data import HEIGHT, WIDTH, painted_photo, write_data

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
        cutouts=cutouts(),
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
        assert (instruction in EFFECTS[family].held_out_instructions) == held_out


def test_wordings_of_training_are_varied_and_those_kept_out_are_not(data: Path):
    listed = {}
    for held_out in (False, True):
        dataset = views(data, map_share=0.0, held_out=held_out)
        listed[held_out] = [
            instruction in EFFECTS[family].instructions + EFFECTS[family].held_out_instructions
            for sample in (dataset[i] for i in range(30))
            for family, instruction in zip(sample.families, sample.instructions, strict=True)
        ]
    assert all(listed[True])
    assert 0.4 < np.mean(listed[False]) < 0.9


def test_restorations_have_a_source_each_and_the_view_as_target(data: Path):
    weights = {name: float(name in ("colourise", "relight")) for name in EFFECTS}
    sample = views(data, map_share=0.0, family_weights=weights, edits_per_view=6)[0]
    assert len({source.tobytes() for source in sample.sources}) > 2
    assert len({target.tobytes() for target in sample.targets}) == 1
    assert sample.masks == [None] * 6


def test_pictures_that_occur_twice_are_encoded_once(
    data: Path, tokenizer: VQTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    weights = {name: float(name in ("unchanged", "sepia")) for name in EFFECTS}
    dataset = views(data, map_share=0.0, family_weights=weights, edits_per_view=4)
    numbers = []
    original = tokenizer.encode

    def note(pixels: torch.Tensor) -> torch.Tensor:
        numbers.append(len(pixels))
        return original(pixels)

    monkeypatch.setattr(tokenizer, "encode", note)
    found = tokenized(dataset, tokenizer, tmp_path / "cache", count=16)
    unchanged = [family == "unchanged" for family in found.families]
    assert any(unchanged) and not all(unchanged)
    for same, source, target in zip(unchanged, found.sources, found.targets, strict=True):
        assert torch.equal(source, target) or not same
    # Eight views are a group; each has its source and those of its edits that differ from it.
    samples = [dataset[i] for i in range(8)]
    assert sum(numbers) == sum(
        len({picture.tobytes() for picture in (*s.sources, *s.targets)}) for s in samples
    )


def test_local_edits_have_a_source_each_and_touch_what_their_mask_says(data: Path):
    dataset = views(data, map_share=0.0, local_share=1.0, image_size=32)
    families = set()
    for i in range(12):
        sample = dataset[i]
        assert len(sample.sources) == len(sample.masks) == 3
        families.update(sample.families)
        for source, target, mask in zip(sample.sources, sample.targets, sample.masks, strict=True):
            assert mask is not None and mask.shape == (32, 32)
            assert source.shape == target.shape == (32, 32, 3)
            assert np.array_equal(source[~mask], target[~mask])
            assert np.array_equal(source, target) == (not mask.any())
    pasted = {name for name, effect in LOCAL_EFFECTS.items() if effect.needs_cutouts}
    assert pasted <= families


def test_a_view_without_what_a_family_changes_gets_another_family(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    weights = {name: float(name in ("water_colour", "absent")) for name in LOCAL_EFFECTS}
    dataset = views(data, map_share=0.0, local_share=1.0, family_weights=weights)
    asked = []
    original = pairs.make_local_pair

    def dry(view: np.ndarray, family: str, *args, **options):
        asked.append(family)
        return None if family == "water_colour" else original(view, family, *args, **options)

    monkeypatch.setattr(pairs, "make_local_pair", dry)
    samples = [dataset[i] for i in range(8)]
    assert all(sample.families == ["absent"] * 3 for sample in samples)
    assert 0.3 < asked.count("water_colour") / len(asked) < 0.7


def test_a_view_that_no_family_fits_has_no_edits(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pairs, "make_local_pair", lambda *args, **options: None)
    dataset = views(data, map_share=0.0, local_share=1.0)
    assert dataset[0].sources == dataset[0].targets == []


def test_things_are_squashed_with_the_photograph_they_stand_in(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    dataset = views(data, map_share=0.0, local_share=1.0, image_size=32)
    shapes = []
    original = pairs.make_local_pair

    def note(view: np.ndarray, *args, **options):
        shapes.append(view.shape[:2])
        return original(view, *args, **options)

    monkeypatch.setattr(pairs, "make_local_pair", note)
    samples = [dataset[i] for i in range(16)]
    assert all(s.sources[0].shape == (32, 32, 3) for s in samples)
    assert all(min(shape) == 64 for shape in shapes)
    whole = (64, round(64 * WIDTH / HEIGHT))
    assert whole in shapes, "half of the views are the whole frame"


def test_kinds_of_views_have_their_shares(data: Path):
    dataset = views(data, map_share=0.3, local_share=0.4)
    first = [dataset[i].families[0] for i in range(100)]
    assert np.mean([name in LOCAL_EFFECTS for name in first]) == pytest.approx(0.4, abs=0.12)
    assert np.mean([name == "canny" for name in first]) == pytest.approx(0.3, abs=0.12)
    assert np.mean([name in EFFECTS for name in first]) == pytest.approx(0.3, abs=0.12)


def test_local_families_are_drawn_by_their_weights(data: Path):
    weights = {name: float(name == "removal") for name in LOCAL_EFFECTS}
    dataset = views(data, map_share=0.0, local_share=1.0, family_weights=weights)
    assert {family for i in range(8) for family in dataset[i].families} == {"removal"}


def test_local_edits_without_cutouts_are_told(data: Path):
    with pytest.raises(TrainingError, match=r"local_share 0\.5 needs cut-outs.*cutouts/"):
        PairDataset(
            recipe(local_share=0.5), list_photos(data / "photos"), {}, [],
            seed=0, views=3, held_out_wording=False,
        )  # fmt: skip


def test_codes_away_from_the_mask_stay_the_source_s():
    source, target = torch.arange(36), torch.arange(36) + 100
    mask = np.zeros((24, 24), np.bool_)
    mask[13, 9] = True
    found = keep_outside(source, target, mask).view(6, 6)
    touched = torch.zeros(6, 6, dtype=torch.bool)
    touched[2:5, 1:4] = True
    assert torch.equal(found >= 100, touched)
    assert torch.equal(found[touched], target.view(6, 6)[touched])


def test_codes_of_local_pairs_keep_the_outside(data: Path, tokenizer: VQTokenizer, tmp_path: Path):
    weights = {name: float(effect.needs_cutouts) for name, effect in LOCAL_EFFECTS.items()}
    dataset = views(data, map_share=0.0, local_share=1.0, image_size=64, family_weights=weights)
    found = tokenized(dataset, tokenizer, tmp_path / "cache", count=6)
    samples = [dataset[i] for i in range(2)]
    masks = [mask for sample in samples for mask in sample.masks]
    assert not torch.equal(found.sources, found.targets)
    for source, target, mask in zip(found.sources, found.targets, masks, strict=True):
        assert torch.equal(target, keep_outside(source, target, mask))


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


@pytest.fixture(scope="module")
def depth_network(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random small depth network as its stage saves it."""
    config = DepthConfig(image_size=16, widths=(8, 12))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = DepthNetwork(config).state_dict()
    file = tmp_path_factory.mktemp("depth") / "depth.safetensors"
    save_file(state, file, {"config": json.dumps(vars(config))})
    return str(file)


def without_scenes(data: Path, **changes) -> PairDataset:
    return PairDataset(
        recipe(map_share=1.0, **changes), list_photos(data / "photos"), read_captions(data), [],
        seed=0, views=100, held_out_wording=False,
    )  # fmt: skip


def test_depth_by_a_network_is_of_the_picture_it_leads_back_to(data: Path, depth_network: str):
    dataset = without_scenes(data, depth_network=depth_network)
    captions = set()
    for i in range(8):
        sample = dataset[i]
        assert sample.families == ["canny", "segmentation", "depth"]
        assert np.array_equal(sample.targets[2], sample.targets[0])
        near = sample.sources[2]
        assert near.shape == (16, 16, 3) and (near == near[..., :1]).all()
        assert near.max() > 200 and near.min() < 60
        captions.add(sample.instructions[2].removeprefix(depth.PROMPT))
    assert "" in captions and len(captions) > 1, "here there is something to describe"


def test_the_network_sees_the_view_before_it_is_reduced(
    data: Path, depth_network: str, monkeypatch: pytest.MonkeyPatch
):
    dataset = without_scenes(data, depth_network=depth_network)
    seen = []
    monkeypatch.setattr(dataset, "depth", lambda view: seen.append(view) or view)
    sample = dataset[0]
    assert [view.shape for view in seen] == [(32, 32, 3)]
    # An extractor that gives the picture itself: source and target are then one.
    assert np.array_equal(sample.sources[2], sample.targets[2])


def test_some_depth_pairs_stay_rendered_scenes_beside_a_network(data: Path, depth_network: str):
    dataset = views(data, map_share=1.0, depth_network=depth_network)
    samples = [dataset[i] for i in range(80)]
    assert all(sample.families == ["canny", "segmentation", "depth"] for sample in samples)
    of_scenes = [not np.array_equal(s.targets[2], s.targets[0]) for s in samples]
    assert np.mean(of_scenes) == pytest.approx(SCENE_SHARE, abs=0.12)
    for sample, of_scene in zip(samples, of_scenes, strict=True):
        if of_scene:
            assert sample.instructions[2] == depth.PROMPT, "scenes have no caption"


def test_region_maps_keep_their_flat_colours(data: Path):
    dataset = views(data, map_share=1.0)
    colours = {tuple(colour) for colour in segmentation.palette(6).tolist()}
    for i in range(6):
        regions = dataset[i].sources[1]
        assert {tuple(colour) for colour in regions.reshape(-1, 3).tolist()} <= colours


def test_hed_maps_have_their_share_where_there_are_weights(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    loaded = []

    def load(settings: ExtractorSettings) -> Extract:
        loaded.append(settings)
        return lambda picture: 255 - picture

    monkeypatch.setattr(pairs, "_extractor", stand_in(load))
    dataset = views(data, map_share=1.0, hed_network="ControlNetHED.pth")
    (settings,) = loaded
    assert settings.weights == Path("ControlNetHED.pth") and settings.resolution == HED_SIDE
    samples = [dataset[i] for i in range(80)]
    having = [sample for sample in samples if "hed" in sample.families]
    assert len(having) / len(samples) == pytest.approx(HED_SHARE, abs=0.12)
    for sample in having:
        assert sample.families == ["canny", "segmentation", "depth", "hed"]
        assert sample.instructions[3].startswith(hed.PROMPT)
        assert np.array_equal(sample.targets[3], sample.targets[0])
        negative = 255 - sample.targets[3].astype(int)
        assert np.abs(sample.sources[3] - negative).max() <= 1


def stand_in(load: Callable[[ExtractorSettings], Extract]) -> Callable[..., Extract | None]:
    """For ``pairs._extractor``: the one that is there loads by ``load``."""
    original = pairs._extractor

    def extractor(extractor: Extractor, weights: str, side: int | None = None) -> Extract | None:
        return original(replace(extractor, load=load), weights, side)

    return extractor


def test_hed_maps_by_the_network_itself(data: Path, tmp_path: Path):
    pytest.importorskip("controlnet_aux")
    from editar_cli.modes._hub import loading

    with loading("hed"), torch.random.fork_rng():
        from controlnet_aux.hed import ControlNetHED_Apache2

        torch.manual_seed(0)
        torch.save(ControlNetHED_Apache2().state_dict(), tmp_path / "ControlNetHED.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "HED_SIDE", 64)
        patch.setattr(pairs, "HED_SHARE", 1.0)
        dataset = without_scenes(data, hed_network=str(tmp_path / "ControlNetHED.pth"))
        sample = dataset[0]
    assert sample.families == ["canny", "segmentation", "hed"]
    assert (sample.sources[2] == sample.sources[2][..., :1]).all()


def test_a_network_that_is_missing_is_told_before_the_first_pair(data: Path, tmp_path: Path):
    with pytest.raises(ModelError, match=r"none\.safetensors"):
        views(data, depth_network=str(tmp_path / "none.safetensors"))


def test_a_data_set_with_a_network_goes_to_a_spawned_worker(data: Path, depth_network: str):
    dataset = views(data, map_share=1.0, depth_network=depth_network)
    there = pickle.loads(pickle.dumps(dataset))
    for i in range(3):
        assert_same_sample(there[i], dataset[i])


def test_captions_come_from_the_table_where_there_is_one(data: Path, tmp_path: Path):
    assert read_captions(data)["001.png"] == "picture number 1"
    assert read_captions(tmp_path) == {}


def test_pairs_are_the_codes_of_the_pictures(data: Path, tokenizer: VQTokenizer, tmp_path: Path):
    dataset = views(data, map_share=0.4)
    found = tokenized(dataset, tokenizer, tmp_path / "cache")
    assert len(found) == 20 and found.sources.dtype == found.targets.dtype == torch.int32
    samples = [dataset[i] for i in range(8)]
    wanted = [
        (s, t, i)
        for sample in samples
        for s, t, i in zip(sample.sources, sample.targets, sample.instructions, strict=True)
    ][:20]
    assert found.instructions == [instruction for _, _, instruction in wanted]

    def codes(pictures: list[np.ndarray]) -> torch.Tensor:
        pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.inference_mode():
            return tokenizer.encode(pixels).flatten(1)

    assert torch.equal(found.sources.long(), codes([s for s, _, _ in wanted]))
    assert torch.equal(found.targets.long(), codes([t for _, t, _ in wanted]))


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


def with_fewer_scenes(data: Path) -> PairDataset:
    dataset = views(data)
    dataset.scenes = dataset.scenes[:1]
    return dataset


def with_local_edits(data: Path, **changes) -> PairDataset:
    return views(data, map_share=0.0, local_share=1.0, image_size=32, **changes)


def with_another_cutout(data: Path) -> PairDataset:
    dataset = with_local_edits(data)
    assert dataset.cutouts is not None
    others = [cutout("lion", (90, 60, 20)), *dataset.cutouts.shown[1:]]
    dataset.cutouts = Cutouts(others, others)
    return dataset


@pytest.mark.parametrize(
    "changed",
    [views, with_another_cutout, lambda data: with_local_edits(data, family_weights={})],
    ids=["local_share", "cutout", "weights"],
)
def test_a_cache_of_other_local_edits_is_not_used(
    data: Path, tokenizer: VQTokenizer, tmp_path: Path, changed: Callable[[Path], PairDataset]
):
    tokenized(with_local_edits(data), tokenizer, tmp_path / "cache", count=12)
    again = tokenized(changed(data), tokenizer, tmp_path / "cache", count=12)
    assert_same(again, tokenized(changed(data), tokenizer, tmp_path / "fresh", count=12))


@pytest.mark.parametrize(
    "changed",
    [
        lambda data: views(data, seed=1),
        lambda data: views(data, map_share=0.9),
        lambda data: views(data, edits_per_view=2),
        with_fewer_scenes,
        lambda data: views(data, held_out=True),
        with_another_photo,
        with_another_caption,
    ],
    ids=["seed", "map_share", "edits_per_view", "scenes", "wording", "photo", "caption"],
)
def test_a_cache_of_other_pairs_is_not_used(
    data: Path, tokenizer: VQTokenizer, tmp_path: Path, changed: Callable[[Path], PairDataset]
):
    tokenized(views(data), tokenizer, tmp_path / "cache", count=12)
    again = tokenized(changed(data), tokenizer, tmp_path / "cache", count=12)
    assert_same(again, tokenized(changed(data), tokenizer, tmp_path / "fresh", count=12))


def test_a_cache_of_depth_by_a_network_is_not_that_of_scenes(
    data: Path, tokenizer: VQTokenizer, tmp_path: Path, depth_network: str
):
    first = tokenized(views(data, map_share=1.0), tokenizer, tmp_path / "cache")
    other = tokenized(
        views(data, map_share=1.0, depth_network=depth_network), tokenizer, tmp_path / "cache"
    )
    assert other.families == first.families
    assert not torch.equal(other.sources, first.sources)


def test_a_cache_of_another_tokenizer_or_length_is_not_used(
    data: Path, tokenizer: VQTokenizer, tmp_path: Path
):
    first = tokenized(views(data), tokenizer, tmp_path / "cache", count=12)
    other = tokenized(views(data), with_other_weights(tokenizer), tmp_path / "cache", count=12)
    assert other.instructions == first.instructions
    assert not torch.equal(other.sources, first.sources)
    assert len(tokenized(views(data), tokenizer, tmp_path / "cache", count=5)) == 5
