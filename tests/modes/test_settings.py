from dataclasses import replace
from pathlib import Path

import pytest

from editar_cli.errors import UsageError
from editar_cli.modes import NAMES, load_mode
from editar_cli.modes._mode import ExtractorSettings
from editar_cli.modes._settings import MapSettings, choose_extractor

SUITED = {"canny": ["opencv"], "depth": ["dpt", "small"], "segmentation": ["maskformer", "regions"]}


@pytest.fixture
def at_hand(monkeypatch):
    """Says which extractors of a mode can run here."""

    def only(mode, *names):
        extractors = load_mode(mode).extractors
        changed = {
            name: replace(extractor, at_hand=lambda here=name in names: here)
            for name, extractor in extractors.items()
        }
        for name, extractor in changed.items():
            monkeypatch.setitem(extractors, name, extractor)

    return only


def test_every_mode_can_be_asked_for_by_name():
    for name in NAMES:
        assert MapSettings(mode=name).mode == name
    with pytest.raises(UsageError, match="--mode sketch: must be one of canny, depth"):
        MapSettings(mode="sketch")


def test_an_unknown_extractor_is_told_with_those_that_there_are():
    with pytest.raises(UsageError, match="--extractor dpt: mode canny has opencv, kornia"):
        MapSettings(mode="canny", extractor="dpt")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"extractor": "opencv"}, "--extractor and --input map"),
        ({"extracting": ExtractorSettings(low=1.0)}, "--low and --input map"),
        ({"extracting": ExtractorSettings(high=1.0)}, "--high and --input map"),
        ({"extracting": ExtractorSettings(resolution=64)}, "--resolution and --input map"),
        ({"extracting": ExtractorSettings(weights=Path("w"))}, "--extractor-weights and --input"),
    ],
)
def test_a_ready_made_map_is_not_extracted(more, said):
    with pytest.raises(UsageError, match=said):
        MapSettings(mode="canny", input="map", **more)


def test_only_maps_can_be_inverted():
    assert MapSettings(mode="depth", input="map", invert=True).invert
    with pytest.raises(UsageError, match="--invert is for maps"):
        MapSettings(mode="depth", invert=True)
    with pytest.raises(UsageError, match="--input sketch"):
        MapSettings(mode="depth", input="sketch")


@pytest.mark.parametrize(
    ("mode", "extractor", "extracting", "said"),
    [
        ("segmentation", "regions", {"low": 1.0}, "--low: extractor regions takes no settings"),
        ("depth", "small", {"resolution": 64}, "extractor small takes --extractor-weights"),
        ("canny", "opencv", {"weights": Path("w")}, "takes --high, --low, --resolution"),
    ],
)
def test_a_setting_that_would_not_be_listened_to_is_refused(mode, extractor, extracting, said):
    with pytest.raises(UsageError, match=said):
        MapSettings(mode=mode, extractor=extractor, extracting=ExtractorSettings(**extracting))


def test_the_device_is_no_setting_of_a_person():
    settings = MapSettings(mode="segmentation", extractor="regions").on("cuda:1")
    assert settings.extracting.device == "cuda:1"
    assert settings.extractor == "regions"
    assert MapSettings(mode="canny", input="map").on("cuda").extracting.device == "cuda"


def test_the_best_of_the_suited_extractors_that_is_at_hand_is_chosen(at_hand):
    at_hand("depth", "small", "dpt", "zoe")
    choice = choose_extractor(MapSettings(mode="depth"), SUITED)
    assert (choice.extractor.name, choice.notes) == ("dpt", ())


def test_a_lesser_extractor_stands_in_and_says_what_would_be_better(at_hand):
    at_hand("depth", "small", "zoe")
    choice = choose_extractor(MapSettings(mode="depth"), SUITED)
    assert choice.extractor.name == "small"
    (note,) = choice.notes
    assert "--extractor dpt gets one (1370 MB)" in note


def test_where_none_is_at_hand_the_best_is_taken_and_its_download_announced(at_hand):
    at_hand("depth")
    choice = choose_extractor(MapSettings(mode="depth"), SUITED)
    assert choice.extractor.name == "dpt"
    (note,) = choice.notes
    assert "Intel/dpt-large (1370 MB)" in note


def test_an_extractor_that_was_asked_for_is_taken(at_hand):
    at_hand("segmentation", "regions")
    asked = MapSettings(mode="segmentation", extractor="maskformer")
    choice = choose_extractor(asked, SUITED)
    assert choice.extractor.name == "maskformer"
    assert "come from the model hub" in choice.notes[0]
    local = replace(asked, extracting=ExtractorSettings(weights=Path("w")))
    assert choose_extractor(local, SUITED).notes == ()


def test_the_style_is_that_of_the_extractor_the_model_was_trained_with(at_hand):
    at_hand("segmentation", "regions", "maskformer", "sam")
    for extractor in ("maskformer", "regions", "sam"):
        asked = MapSettings(mode="segmentation", extractor=extractor)
        assert choose_extractor(asked, SUITED).style == "regions"
        published = {"segmentation": ["maskformer"]}
        assert choose_extractor(asked, published).style == "coco-stuff"


def test_ready_made_maps_need_no_extractor_at_hand(at_hand):
    at_hand("segmentation")
    choice = choose_extractor(MapSettings(mode="segmentation", input="map"), SUITED)
    assert (choice.style, choice.notes) == ("regions", ())


def test_a_mode_that_the_model_was_not_trained_on_is_told(at_hand):
    at_hand("canny", "opencv")
    choice = choose_extractor(MapSettings(mode="canny"), {"depth": ["small"]})
    assert choice.extractor.name == "opencv"
    assert "not trained on canny maps" in choice.notes[0]


def test_settings_are_checked_against_the_extractor_that_was_chosen(at_hand):
    at_hand("depth", "small")
    settings = MapSettings(mode="depth", extracting=ExtractorSettings(resolution=64))
    with pytest.raises(UsageError, match="--resolution: extractor small takes"):
        choose_extractor(settings, SUITED)


def test_a_bundle_with_an_unknown_extractor_is_no_traceback():
    for names in (["other", "opencv"], ["opencv", "other"]):
        with pytest.raises(UsageError, match="other: mode canny has"):
            choose_extractor(MapSettings(mode="canny"), {"canny": names})
