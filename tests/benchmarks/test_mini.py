from itertools import islice

import numpy as np
import pytest

from editar_cli.benchmarks.mini import (
    GRADIENT_WEIGHT,
    Distance,
    MiniSettings,
    Row,
    all_families,
    changed_share,
    distance,
    edge_agreement,
    nearest,
    run_mini,
    signature,
    spaced,
    summarise,
)
from editar_cli.engine import image_seed
from editar_cli.errors import EditarError, UsageError
from editar_cli.pipeline import Made
from editar_cli.synthesis import EFFECTS, make_pair
from editar_cli.synthesis.local import LOCAL_EFFECTS
from tests.synthesis.painted_cutouts import cutouts
from tests.synthesis.painted_photos import field


def photo(seed=0, height=64, width=96):
    """Soft coloured blobs with some grain."""
    import cv2

    rng = np.random.default_rng(seed)
    blobs = cv2.resize(rng.integers(0, 256, (5, 7, 3)).astype(np.uint8), (width, height))
    return np.clip(blobs + rng.normal(0, 4, blobs.shape), 0, 255).astype(np.uint8)


def flat(value, height=64, width=96):
    return np.full((height, width, 3), value, np.uint8)


class FakeEditor:
    """Answers with what `answer(photo, instruction, seed)` makes of a photograph."""

    def __init__(self, answer, room=True):
        self.answer = answer
        self.room = room
        self.asked = []
        self.facts = {"model": "fake"}

    def picture_seed(self, key):
        return image_seed(7, key)

    def prepare(self, asked):
        self.asked.append((asked.source.name, asked.text, asked.seed))
        return asked.source, asked.text

    def stream(self, prepared, *, slots, on_drawn, on_fewer_slots):
        waiting = enumerate(prepared)
        while batch := list(islice(waiting, slots)):
            if not self.room:
                raise MemoryError
            for index, (source, text) in reversed(batch):
                on_drawn(0.5)
                on_drawn(0.5)
                yield index, self.answer(source, text)

    def finish(self, prepared, result):
        return Made(pixels=result, like=prepared[0])


def unedited(source, instruction):
    return source.pixels.copy()


def perfect(settings):
    """An editor that knows the effect by its sentence and gives the second truth."""

    def answer(source, instruction):
        family = next(
            name for name in settings.families if instruction in EFFECTS[name].held_out_instructions
        )
        draw = min(1, settings.truth_draws - 1) if EFFECTS[family].random else 0
        seed = image_seed(settings.seed, f"truth {draw}/{source.name}")
        return make_pair(source.pixels, family, seed=seed).edited

    return FakeEditor(answer)


def test_the_distance_of_two_greys_is_their_difference_in_lightness():
    # L* = 116 Y^(1/3) - 16 with Y = 0.0144 for 32/255 and 0.2159 for 128/255.
    dark, bright = signature(flat(32)), signature(flat(128))
    found = distance(dark, bright)
    assert found.colour == pytest.approx(53.585 - 12.248, abs=0.1)
    assert found.gradient == 0
    assert distance(dark, dark) == Distance(0, 0)


def test_the_gradient_part_is_the_frozen_formula():
    # Stripes of two pixels: at full scale every second difference across is the whole step in L*,
    # at half scale every one, at a quarter none. The last column has no successor: the rightmost of
    # the four cells of a row has one step less, 7 instead of 8.
    stripes = flat(100, 64, 64)
    stripes[:, 2::4] = stripes[:, 3::4] = 140
    step = 58.250 - 42.375
    magnitudes = step * np.array([[8 / 16, 8 / 16, 8 / 16, 7 / 16], [1, 1, 1, 7 / 8], [0] * 4])
    expected = np.mean(np.log(0.5 + magnitudes) - np.log(0.5))
    found = distance(signature(stripes), signature(flat(120, 64, 64)))
    assert found.gradient == pytest.approx(60 * expected, rel=0.005)
    assert GRADIENT_WEIGHT == 60


def test_the_distance_of_fixed_pictures_is_frozen():
    y, x = np.mgrid[:64, :96]
    waves = np.stack([(x * y) % 256, (3 * x + y) % 256, (x + 5 * y) % 256], axis=2)
    found = distance(
        signature(waves.astype(np.uint8)), signature((20 + waves // 2).astype(np.uint8))
    )
    assert (found.colour, found.gradient) == pytest.approx((26.56, 33.63), rel=0.002)


def test_colour_is_compared_in_cells_of_16_pixels_of_the_whole_frame():
    assert signature(photo(height=64, width=96)).colour.shape == (4, 6, 3)
    assert signature(photo(height=40, width=100)).colour.shape == (2, 6, 3)
    assert signature(photo(height=16, width=300)).colour.shape == (1, 19, 3)
    assert signature(photo()).energy.shape == (3, 4, 4)


def test_the_place_of_fine_grain_does_not_matter_but_its_strength_does():
    def grainy(seed, strength):
        noise = np.random.default_rng(seed).normal(0, strength, (256, 384, 1))
        return signature(np.clip(flat(120, 256, 384) + noise, 0, 255).astype(np.uint8))

    first, other, stronger = grainy(1, 10), grainy(2, 10), grainy(3, 30)
    assert distance(first, other).total < 2
    assert distance(first, stronger).total > 30


def test_the_nearest_truth_counts():
    pictures = [signature(flat(v)) for v in (10, 90, 200)]
    assert nearest(signature(flat(95)), pictures) == distance(
        signature(flat(95)), signature(flat(90))
    )


def test_a_change_is_visible_above_three_delta_e():
    source = flat(128)
    changed = source.copy()
    changed[:16] = 133  # 2 delta E
    changed[16:32] = 144  # 6 delta E
    assert changed_share(source, changed) == 0.25
    assert changed_share(source, source) == 0


def test_edges_one_pixel_off_agree_and_farther_ones_do_not():
    def line(column):
        picture = flat(20, 128, 128)
        picture[:, column:] = 220
        return picture

    assert edge_agreement(line(60), line(60)) == 1
    assert edge_agreement(line(60), line(61)) == 1
    assert edge_agreement(line(60), line(63)) == 0
    assert edge_agreement(line(60), flat(20, 128, 128)) == 0
    assert edge_agreement(flat(0), flat(200)) == 1
    both = line(60)
    both[:, 90:] = 20
    assert edge_agreement(line(60), both) == pytest.approx(2 / 3, abs=0.01)


def test_edges_are_compared_at_256_pixels():
    picture = flat(20, 256, 1024)
    picture[:, 600:] = 220
    moved = flat(20, 256, 1024)
    moved[:, 604:] = 220
    assert edge_agreement(picture, moved) == 1


FAMILIES = ("night", "sepia", "snow", "unchanged")


def test_a_perfect_editor_has_ratio_zero_and_every_family_counts():
    settings = MiniSettings(families=FAMILIES, truth_draws=2)
    result = run_mini({"a": photo(1), "b": photo(2)}, perfect(settings), settings, slots=3)
    assert [row.ratio for row in result.rows if row.family != "unchanged"] == [0.0] * 6
    assert result.counted == ["night", "sepia", "snow"]
    assert [f.share_below for f in result.judged] == [1.0] * 3
    sepia = result.families[1]
    assert sepia.edges == sepia.truth_edges


def test_an_editor_that_does_nothing_has_ratio_one_and_only_the_identity_is_pleased():
    settings = MiniSettings(families=FAMILIES)
    result = run_mini({"a": photo(1), "b": photo(2)}, FakeEditor(unedited), settings, slots=3)
    assert [row.ratio for row in result.rows if row.family != "unchanged"] == [1.0] * 6
    assert result.counted == []
    assert len(result.judged) == 3
    identity = result.families[3]
    assert (identity.photos, identity.mean_distance, identity.changed) == (2, 0.0, 0.0)
    assert (identity.counts, identity.median_ratio, identity.left_out) == (None, None, 0)
    assert all(family.edges == 1 for family in result.families)


def test_an_editor_that_answers_the_identity_with_another_picture_is_found_out():
    settings = MiniSettings(families=("unchanged",))
    editor = FakeEditor(lambda source, instruction: 255 - source.pixels)
    identity = run_mini({"a": photo()}, editor, settings, slots=1).families[0]
    assert identity.mean_distance > 20
    assert identity.changed > 0.9


def test_a_photograph_that_is_its_own_truth_already_is_left_out():
    grey = flat(134)
    settings = MiniSettings(families=("muted",))
    result = run_mini({"grey": grey, "a": photo(1)}, FakeEditor(unedited), settings, slots=2)
    assert [row.ratio for row in result.rows] == [None, 1.0]
    family = result.families[0]
    assert (family.photos, family.left_out) == (1, 1)
    none = run_mini({"grey": grey}, FakeEditor(unedited), settings, slots=2).families[0]
    assert (none.photos, none.median_ratio, none.share_below, none.counts) == (0, None, None, False)


def test_sentences_are_those_asked_for_and_the_truth_does_not_depend_on_them():
    rows = {}
    for wording in ("held-out", "training"):
        settings = MiniSettings(families=("snow", "fog"), wording=wording, truth_draws=1)
        rows[wording] = run_mini({"a": photo()}, FakeEditor(unedited), settings, slots=1).rows
    for held_out, training in zip(*rows.values(), strict=True):
        effect = EFFECTS[held_out.family]
        assert held_out.instruction in effect.held_out_instructions
        assert training.instruction in effect.instructions
        assert held_out.source_colour == training.source_colour


def test_local_families_have_rows_of_their_own():
    settings = MiniSettings(families=("fog", "removal", "recolour"))
    photos = {"a": photo(1), "b": photo(2)}
    editor = FakeEditor(unedited)
    result = run_mini(photos, editor, settings, slots=2, cutouts=cutouts())
    assert [family.family for family in result.families] == ["fog"]
    assert [family.family for family in result.local_families] == ["removal", "recolour"]
    assert [row.family for row in result.rows] == ["fog", "fog"]
    assert [(row.photo, row.family) for row in result.local_rows] == [
        ("a", "removal"), ("a", "recolour"), ("b", "removal"), ("b", "recolour"),
    ]  # fmt: skip
    assert all(not row.nearer and row.psnr_outside == 100 for row in result.local_rows)
    assert {name: len(groups) for name, groups in result.sheet.items()} == {
        "fog": 2, "removal": 2, "recolour": 2
    }  # fmt: skip
    # The editor is given the picture with the thing on it.
    source, truth, _ = result.sheet["removal"][0]
    assert (truth == photos["a"]).all() or not (source == photos["a"]).all()
    starts = {template.split("{")[0] for template in LOCAL_EFFECTS["removal"].held_out_instructions}
    assert any(result.local_rows[0].instruction.startswith(start) for start in starts)


def test_families_that_paste_need_cutouts():
    settings = MiniSettings(families=("removal", "sky_colour"))
    with pytest.raises(UsageError, match="families removal: need cut-outs"):
        run_mini({"a": photo()}, FakeEditor(unedited), settings, slots=1)


def test_all_families_without_cutouts_are_those_that_paste_nothing():
    without, with_cutouts = (all_families(cutouts=given) for given in (False, True))
    assert set(with_cutouts) == {*EFFECTS, *LOCAL_EFFECTS}
    assert {"snow", "colourise", "sky_colour", "needless"} <= set(without)
    assert set(with_cutouts) - set(without) == {
        "removal", "addition", "replacement", "recolour", "absent"
    }  # fmt: skip
    assert MiniSettings().families == without


def test_of_a_restoration_the_photograph_is_the_truth():
    settings = MiniSettings(families=("colourise", "relight"))
    photos = {"a": photo(1), "b": photo(2)}
    restored = run_mini(
        photos, FakeEditor(lambda source, text: photos[source.name]), settings, slots=2
    )
    assert [row.ratio for row in restored.rows] == [0.0] * 4
    assert restored.counted == ["colourise", "relight"]
    left = run_mini(photos, FakeEditor(unedited), settings, slots=2)
    assert [row.ratio for row in left.rows] == [1.0] * 4
    source, truth, _ = left.sheet["colourise"][0]
    assert (source == source[..., :1]).all() and (truth == photos["a"]).all()


def test_parts_of_the_photograph_are_judged_where_it_has_them():
    settings = MiniSettings(families=("sky_colour",))
    photos = {"field": field(64), "noise": photo(1)}
    result = run_mini(photos, FakeEditor(unedited), settings, slots=2)
    assert [(row.photo, row.family) for row in result.local_rows] == [("field", "sky_colour")]
    assert [(f.family, f.edits) for f in result.local_families] == [("sky_colour", 1)]
    assert result.families == [] and len(result.sheet["sky_colour"]) == 1


def test_sentences_about_what_is_not_there_are_judged_as_the_identity():
    settings = MiniSettings(families=("absent", "needless"))
    photos = {"a": photo(1), "b": photo(2)}
    good = run_mini(photos, FakeEditor(unedited), settings, slots=2, cutouts=cutouts())
    assert [f.family for f in good.families] == ["absent", "needless"]
    assert [(f.photos, f.changed, f.counts) for f in good.families] == [(2, 0.0, None)] * 2
    assert good.local_rows == [] and good.judged == []
    bad = run_mini(
        photos, FakeEditor(lambda source, text: 255 - source.pixels), settings, slots=2,
        cutouts=cutouts(),
    )  # fmt: skip
    assert all(f.changed > 0.9 and f.mean_distance > 20 for f in bad.families)


def test_seeds_and_rows_do_not_depend_on_the_batch():
    settings = MiniSettings(families=("fog", "sepia", "unchanged"))
    photos = {"a": photo(1), "b": photo(2)}
    asked, rows = [], []
    for size in (1, 4):
        editor = FakeEditor(unedited)
        rows.append(run_mini(photos, editor, settings, slots=size).rows)
        asked.append(editor.asked)
    assert asked[0] == asked[1]
    assert rows[0] == rows[1]
    assert len({seed for _, _, seed in asked[0]}) == 6
    assert asked[0][0][2] == image_seed(7, "fog/a")


def test_one_picture_too_many_is_an_error():
    settings = MiniSettings(families=("fog", "sepia", "unchanged"))
    with pytest.raises(EditarError, match="memory ran out"):
        run_mini({"a": photo(1)}, FakeEditor(unedited, room=False), settings, slots=5)


def test_progress_counts_edits():
    told = []
    settings = MiniSettings(families=("fog", "sepia"))
    run_mini(
        {"a": photo(1), "b": photo(2)},
        FakeEditor(unedited),
        settings,
        slots=3,
        on_progress=lambda done, what: told.append(done),
    )
    assert told == [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]


def test_the_sheet_takes_evenly_spaced_photographs():
    settings = MiniSettings(families=("fog",))
    photos = {str(i): photo(i) for i in range(5)}
    result = run_mini(photos, FakeEditor(unedited), settings, slots=5, sheet_photos=2)
    sources = [group[0] for group in result.sheet["fog"]]
    assert len(sources) == 2
    assert (sources[0] == photos["0"]).all()
    assert (sources[1] == photos["2"]).all()
    assert spaced(list("abcdefgh"), 3) == ["a", "c", "f"]
    assert spaced(list("ab"), 3) == ["a", "b"]


def rows_with(ratios):
    blank = dict(
        photo="a", family="fog", instruction="x", seed=0, source_colour=1.0, source_gradient=1.0,
        output_colour=1.0, output_gradient=1.0, edges=None, truth_edges=None, changed=None,
    )  # fmt: skip
    return [Row(ratio=ratio, **blank) for ratio in ratios]


@pytest.mark.parametrize(
    ("ratios", "counts"),
    [
        ([0.7, 0.7, 0.7, 0.89, 0.95], True),
        ([0.7, 0.7, 0.7, 0.9, 0.95], False),
        ([0.5, 0.71, 0.71, 0.8], False),
        ([0.1, 0.1, 0.1, 0.95, None], False),
        ([0.1, 0.1, 0.1, 0.1, 0.95, None], True),
    ],
)
def test_a_family_counts_by_its_median_and_the_share_below(ratios, counts):
    assert summarise("fog", rows_with(ratios)).counts is counts


@pytest.mark.parametrize(
    "wrong",
    [
        {"families": ("snow", "hail")},
        {"families": ()},
        {"families": ("snow", "snow")},
        {"wording": "both"},
        {"truth_draws": 0},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(UsageError):
        MiniSettings(**wrong)


def test_a_tiny_photograph_is_refused_by_name():
    settings = MiniSettings(families=("fog",))
    photos = {"tiny.png": photo(height=15)}
    with pytest.raises(UsageError, match=r"tiny\.png"):
        run_mini(photos, FakeEditor(unedited), settings, slots=1)
