import json
import os
from pathlib import Path

import pytest
from PIL import Image

from editar_cli import batch, images
from editar_cli.batch import Placement, plan_jobs
from editar_cli.errors import UsageError
from editar_cli.lists import Row


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with photos/ in it: a.jpg, b2.png, b10.png, notes.txt, deep/c.jpg."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/a.jpg", "photos/b10.png", "photos/b2.png", "photos/deep/c.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 8), (10, 20, 30)).save(path)
    (tmp_path / "photos/notes.txt").write_text("no picture")
    return tmp_path


def placed(inputs, recursive=False, **placement):
    """{input: output} of a plan."""
    plan = plan_jobs(inputs, "make it snowy", Placement(**placement), recursive=recursive)
    return {job.source_name: job.output_name for job in plan.jobs}


def test_one_file_goes_beside_itself(folder):
    assert placed(["photos/a.jpg"]) == {"photos/a.jpg": "photos/a.edited.jpg"}


def test_a_folder_goes_to_its_sibling_in_natural_order(folder):
    plan = plan_jobs(["photos/"], "x", Placement())
    assert [job.output_name for job in plan.jobs] == [
        "photos.edited/a.jpg",
        "photos.edited/b2.png",
        "photos.edited/b10.png",
    ]
    assert plan.folders == [Path("photos.edited")]


def test_the_working_directory_itself_has_a_sibling(folder, monkeypatch):
    monkeypatch.chdir(folder / "photos")
    assert placed(["."])["a.jpg"] == str(folder / "photos.edited/a.jpg")


def test_recursive_mirrors_the_tree(folder):
    assert placed(["photos"], recursive=True, output="out")["photos/deep/c.jpg"] == "out/deep/c.jpg"


def test_several_files_go_into_the_output_folder_by_name(folder):
    assert placed(["photos/a.jpg", "photos/deep/c.jpg"], output="out") == {
        "photos/a.jpg": "out/a.jpg",
        "photos/deep/c.jpg": "out/c.jpg",
    }


def test_a_glob_is_expanded_by_us_in_natural_order(folder):
    assert list(placed(["photos/b*.png"])) == ["photos/b2.png", "photos/b10.png"]
    assert list(placed(["photos/**/*.jpg"])) == ["photos/a.jpg", "photos/deep/c.jpg"]


def test_a_file_with_glob_signs_in_its_name_is_that_file(folder):
    odd = folder / "a[1].jpg"
    (folder / "photos/a.jpg").rename(odd)
    assert list(placed([str(odd)])) == [str(odd)]


def test_an_output_with_a_picture_extension_is_a_file(folder):
    assert placed(["photos/a.jpg"], output="new/b.png") == {"photos/a.jpg": "new/b.png"}


@pytest.mark.parametrize("output", ["out", "out/", "photos/deep"])
def test_any_other_output_is_a_folder(folder, output):
    assert placed(["photos/a.jpg"], output=output)["photos/a.jpg"] == f"{output.rstrip('/')}/a.jpg"


def test_several_pictures_do_not_go_into_one_file(folder):
    with pytest.raises(UsageError, match="several pictures"):
        placed(["photos"], output="out.jpg")


def test_names_follow_the_pattern_and_the_format(folder):
    assert placed(["photos/a.jpg"], name="{stem}_{seed}{ext}", seed=7) == {
        "photos/a.jpg": "photos/a_7.jpg"
    }
    assert placed(["photos/a.jpg"], format="webp") == {"photos/a.jpg": "photos/a.edited.webp"}
    assert placed(["photos/deep"], format="png", output="out") == {"photos/deep/c.jpg": "out/c.png"}


@pytest.mark.parametrize("name", ["{nothing}", "{stem", "a/{stem}", "{stem.__class__}/", "", ".."])
def test_a_pattern_that_gives_no_file_name_is_refused(name):
    with pytest.raises(UsageError, match="--name"):
        Placement(name=name)


def test_two_inputs_for_one_output_are_refused(folder):
    Image.new("RGB", (4, 4)).save(folder / "photos/a.png")
    with pytest.raises(UsageError, match=r"a\.jpg and photos/a\.png would both"):
        placed(["photos"], format="webp")
    with pytest.raises(UsageError, match="would both"):
        placed(["photos"], name="same.jpg")


def test_a_source_is_not_overwritten_unless_asked(folder):
    with pytest.raises(UsageError, match="--in-place"):
        placed(["photos"], output="photos")
    with pytest.raises(UsageError, match="--in-place"):
        placed(["photos/a.jpg"], output="photos/../photos/a.jpg", on_exists="overwrite")
    assert placed(["photos/a.jpg"], in_place=True) == {"photos/a.jpg": "photos/a.jpg"}


@pytest.mark.parametrize("other", [{"output": "x"}, {"name": "{stem}"}, {"format": "png"}])
def test_in_place_excludes_other_places(other):
    with pytest.raises(UsageError, match="--in-place"):
        Placement(in_place=True, **other)


def test_our_own_outputs_are_never_inputs(folder):
    for name in ("photos/a.edited.jpg", "photos/deep.edited/c.jpg", "photos/out/a.jpg"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    found = placed(["photos"], recursive=True, output="photos/out", on_exists="overwrite")
    assert sorted(found) == [
        "photos/a.jpg",
        "photos/b10.png",
        "photos/b2.png",
        "photos/deep/c.jpg",
    ]


def test_the_copies_of_a_report_are_never_inputs(folder):
    for name in ("photos/report_files/a.jpg", "photos/other_files/b.jpg", "photos/report.html"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    found = placed(["photos"], recursive=True)
    assert "photos/report_files/a.jpg" not in found
    assert "photos/other_files/b.jpg" in found


def test_results_of_an_earlier_run_can_be_edited_when_named(folder):
    (folder / "photos").rename(folder / "photos.edited")
    assert placed(["photos.edited"])["photos.edited/a.jpg"] == "photos.edited.edited/a.jpg"


def test_the_same_picture_given_twice_is_edited_once(folder):
    assert len(placed(["photos/a.jpg", "photos/../photos/a.jpg", "photos"], output="out")) == 3


def test_existing_outputs_are_skipped_overwritten_or_an_error(folder):
    (folder / "photos/a.edited.jpg").write_bytes(b"there")
    plan = plan_jobs(["photos/a.jpg"], "x", Placement())
    assert (len(plan.jobs), len(plan.skipped)) == (0, 1)
    assert len(plan_jobs(["photos/a.jpg"], "x", Placement(on_exists="overwrite")).jobs) == 1
    with pytest.raises(UsageError, match="already there"):
        plan_jobs(["photos/a.jpg"], "x", Placement(on_exists="error"))


def test_a_missing_input_hints_at_quotes(folder):
    with pytest.raises(UsageError, match=r"make: no such file or folder .*quotes"):
        placed(["photos/a.jpg", "make", "it"])


def test_a_folder_without_pictures_hints_at_recursion(folder):
    (folder / "photos/deep").rename(folder / "deep")
    (folder / "top").mkdir()
    (folder / "deep").rename(folder / "top/deep")
    with pytest.raises(UsageError, match=r"top: holds no pictures; -r"):
        placed(["top"])
    with pytest.raises(UsageError, match="matches no file"):
        placed(["*.jpg"])


def test_standard_input_goes_to_standard_output_or_a_file(folder):
    assert placed(["-"]) == {"-": "-"}
    assert placed(["-"], output="-") == {"-": "-"}
    assert placed(["-"], output="out.jpg") == {"-": "out.jpg"}
    assert placed(["photos/a.jpg"], output="-") == {"photos/a.jpg": "-"}


def test_standard_streams_stand_for_one_picture(folder):
    with pytest.raises(UsageError, match="one picture"):
        placed(["-", "photos/a.jpg"])
    with pytest.raises(UsageError, match="one picture"):
        placed(["photos"], output="-")
    with pytest.raises(UsageError, match="file name"):
        placed(["-"], output="out/")
    with pytest.raises(UsageError, match="--in-place"):
        placed(["-"], in_place=True)


def rows(*rows):
    return [Row(image=Path(row.pop("image")), **row) for row in rows]


def test_rows_have_texts_seeds_and_outputs_of_their_own_and_come_first(folder):
    listed = rows(
        {"image": "photos/a.jpg", "key": "photos/a.jpg", "text": "own", "seed": 5},
        {"image": "photos/b2.png", "key": "photos/b2.png", "output": Path("else/x.webp")},
    )
    plan = plan_jobs(["photos/b10.png"], "shared", Placement(output="out"), rows=listed)
    assert [(job.output_name, job.key, job.instruction, job.seed) for job in plan.jobs] == [
        ("out/photos/a.jpg", "photos/a.jpg", "own", 5),
        ("else/x.webp", "photos/b2.png", "shared", None),
        ("out/b10.png", "b10.png", "shared", None),
    ]


def test_rows_without_a_place_go_beside_their_pictures(folder):
    plan = plan_jobs([], "x", Placement(), rows=rows({"image": "photos/a.jpg", "key": "k"}))
    assert plan.jobs[0].output_name == "photos/a.edited.jpg"
    assert plan.folders == []


def test_a_picture_may_be_listed_twice_with_two_outputs(folder):
    twice = [
        {"image": "photos/a.jpg", "key": "photos/a.jpg", "text": "x", "output": Path(name)}
        for name in ("1.jpg", "2.jpg")
    ]
    assert len(plan_jobs([], None, Placement(), rows=rows(*twice)).jobs) == 2
    for row in twice:
        row.update(image="photos/a.jpg", output=Path("1.jpg"))
    with pytest.raises(UsageError, match="would both"):
        plan_jobs([], None, Placement(), rows=rows(*twice))


def test_an_instruction_is_needed_and_a_caption_is_not(folder):
    one = rows({"image": "photos/a.jpg", "key": "a.jpg"})
    with pytest.raises(UsageError, match=r"photos/a\.jpg: has no instruction"):
        plan_jobs([], None, Placement(), rows=one)
    empty = rows({"image": "photos/a.jpg", "key": "a.jpg", "text": " "})
    with pytest.raises(UsageError, match=r"photos/a\.jpg: its instruction is empty"):
        plan_jobs([], None, Placement(), rows=empty)
    (job,) = plan_jobs([], None, Placement(), rows=one, asked="caption").jobs
    assert job.instruction == ""
    assert json.loads(job.to_json("planned"))["caption"] == ""


def test_an_output_in_the_list_and_in_place_contradict_each_other(folder):
    listed = rows({"image": "photos/a.jpg", "key": "a.jpg", "output": Path("x.jpg")})
    with pytest.raises(UsageError, match="--in-place"):
        plan_jobs([], "x", Placement(in_place=True), rows=listed)


def captions(inputs, text=None, caption_files=True, listed=()):
    plan = plan_jobs(
        inputs,
        text,
        Placement(tag="depth"),
        rows=listed,
        asked="caption",
        caption_files=caption_files,
    )
    return {job.source_name: job.instruction for job in plan.jobs}, plan.captioned


def test_captions_come_from_text_files_beside_the_pictures_and_are_counted(folder):
    Path("photos/a.txt").write_text("\ufeffa lake,\n  by night \n", encoding="utf-8")
    found, count = captions(["photos"])
    assert found == {
        "photos/a.jpg": "a lake, by night",
        "photos/b2.png": "",
        "photos/b10.png": "",
    }
    assert count == 1
    assert captions(["photos/a.jpg"], caption_files=False) == ({"photos/a.jpg": ""}, 0)


def test_a_given_caption_and_one_from_a_list_go_before_text_files(folder):
    Path("photos/a.txt").write_text("from the file")
    assert captions(["photos/a.jpg"], "given") == ({"photos/a.jpg": "given"}, 0)
    assert captions(["photos/a.jpg"], "") == ({"photos/a.jpg": ""}, 0)
    listed = rows({"image": "photos/a.jpg", "key": "a.jpg", "text": "listed"})
    assert captions([], "given", listed=listed) == ({"photos/a.jpg": "listed"}, 0)
    bare = rows({"image": "photos/a.jpg", "key": "a.jpg"})
    assert captions([], listed=bare) == ({"photos/a.jpg": "from the file"}, 1)


def test_a_text_file_that_is_no_text_is_refused_by_name(folder):
    Path("photos/a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"photos/a\.txt: is no caption"):
        captions(["photos/a.jpg"])


def test_maps_mirror_the_tree_and_previews_lie_beside_the_outputs(folder):
    plan = plan_jobs(
        ["photos"],
        "x",
        Placement(output="out", maps=Path("maps"), preview=True),
        recursive=True,
    )
    assert [dict(job.beside) for job in plan.jobs[::3]] == [
        {"map": Path("maps/a.png"), "preview": Path("out/a.preview.jpg")},
        {"map": Path("maps/deep/c.png"), "preview": Path("out/deep/c.preview.jpg")},
    ]
    record = json.loads(plan.jobs[0].to_json("planned"))
    assert (record["map"], record["preview"]) == ("maps/a.png", "out/a.preview.jpg")


def test_maps_and_previews_never_take_the_place_of_a_picture(folder):
    with pytest.raises(UsageError, match=r"photos/b2\.png: is an input"):
        plan_jobs(["photos"], "x", Placement(maps=Path("photos")))
    Image.new("RGB", (4, 4)).save("photos/a.png")
    with pytest.raises(UsageError, match=r"would both be written to maps/a\.png"):
        plan_jobs(["photos/a.jpg", "photos/a.png"], "x", Placement(maps=Path("maps")))


def test_what_has_no_name_has_no_map_and_no_preview(folder):
    with pytest.raises(UsageError, match="--save-map"):
        placed(["-"], maps=Path("maps"))
    with pytest.raises(UsageError, match="--preview"):
        placed(["-"], preview=True)
    with pytest.raises(UsageError, match="--preview and -o -"):
        Placement(output="-", preview=True)
    assert placed(["-"], output="x.png", preview=True) == {"-": "x.png"}


def test_own_tags_say_what_is_not_taken_from_folders(folder):
    for name in ("photos/a.canny.jpg", "photos/a.canny.preview.jpg", "photos/a.canny-map.png"):
        Image.new("RGB", (4, 4)).save(name)

    def taken(*tags):
        return len(plan_jobs(["photos"], "x", Placement(), own_tags=tags).jobs)

    assert taken("canny", "canny-map", "preview") == 3
    assert taken("canny", "preview") == 4
    assert taken("edited") == 6


def test_variations_are_numbered_from_one(folder):
    assert [
        job.output_name for job in plan_jobs(["photos/a.jpg"], "x", Placement(variations=2)).jobs
    ] == ["photos/a.edited-1.jpg", "photos/a.edited-2.jpg"]
    jobs = plan_jobs(["photos"], "x", Placement(variations=2)).jobs
    assert [job.output_name for job in jobs] == [
        "photos.edited/a-1.jpg", "photos.edited/a-2.jpg",
        "photos.edited/b2-1.png", "photos.edited/b2-2.png",
        "photos.edited/b10-1.png", "photos.edited/b10-2.png",
    ]  # fmt: skip
    assert [job.variation for job in jobs] == [0, 1] * 3
    named = Placement(output="out", name="{variation}/{stem}".replace("/", "_"), variations=2)
    jobs = plan_jobs(["photos/a.jpg"], "x", named).jobs
    assert [job.output_name for job in jobs] == ["out/1_a", "out/2_a"]


def test_outputs_that_are_files_are_numbered_too(folder):
    jobs = plan_jobs(["photos/a.jpg"], "x", Placement(output="snow.png", variations=2)).jobs
    assert [job.output_name for job in jobs] == ["snow-1.png", "snow-2.png"]
    row = Row(image=Path("photos/a.jpg"), key="a.jpg", text="x", output=Path("rows/r.png"))
    jobs = plan_jobs([], None, Placement(variations=2), rows=[row]).jobs
    assert [job.output_name for job in jobs] == ["rows/r-1.png", "rows/r-2.png"]
    jobs = plan_jobs(["-"], "x", Placement(output="snow.png", variations=2)).jobs
    assert [job.output_name for job in jobs] == ["snow-1.png", "snow-2.png"]


def test_the_first_variation_has_the_seed_of_a_picture_alone(folder):
    alone = plan_jobs(["photos/a.jpg"], "x", Placement()).jobs
    several = plan_jobs(["photos/a.jpg"], "x", Placement(variations=3)).jobs
    assert alone[0].seed_key == several[0].seed_key == "a.jpg"
    assert [job.seed_key for job in several[1:]] == ["a.jpg#1", "a.jpg#2"]


def test_variations_of_one_picture_know_each_other(folder):
    a1, a2, b1 = plan_jobs(
        ["photos/a.jpg", "photos/b2.png"], "x", Placement(output="o", variations=2)
    ).jobs[:3]
    assert a2.is_variation_of(a1) and a1.is_variation_of(a2)
    assert not b1.is_variation_of(a2)
    other = plan_jobs(["photos/a.jpg"], "y", Placement(output="o", variations=2)).jobs[1]
    assert not other.is_variation_of(a1)


def test_a_record_tells_the_variation_where_there_are_several(folder):
    (alone,) = plan_jobs(["photos/a.jpg"], "x", Placement()).jobs
    assert "variation" not in json.loads(alone.to_json("done"))
    jobs = plan_jobs(["photos/a.jpg"], "x", Placement(variations=2)).jobs
    assert [json.loads(job.to_json("done"))["variation"] for job in jobs] == [1, 2]


def test_each_variation_is_skipped_for_itself(folder):
    Path("photos/a.edited-2.jpg").write_bytes(b"")
    plan = plan_jobs(["photos/a.jpg"], "x", Placement(variations=3))
    assert [job.variation for job in plan.jobs] == [0, 2]
    assert [job.variation for job in plan.skipped] == [1]


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"in_place": True}, "--in-place"),
        ({"output": "-"}, "-o -"),
        ({"name": "{stem}{ext}", "output": "o"}, "{variation}"),
    ],
)
def test_several_variations_need_several_files(folder, settings, flag):
    with pytest.raises(UsageError, match=flag):
        Placement(variations=2, **settings)


def test_variations_of_standard_input_need_a_name(folder):
    with pytest.raises(UsageError, match="--variations: standard output"):
        plan_jobs(["-"], "x", Placement(variations=2))


def test_numbered_outputs_of_ours_are_never_inputs(folder):
    for name in ("a.edited-1.jpg", "a.edited-12.jpg", "a.edited-1.preview.jpg", "a-1.jpg"):
        Image.new("RGB", (4, 4)).save(f"photos/{name}")
    Path("photos/old.edited-3").mkdir()
    Image.new("RGB", (4, 4)).save("photos/old.edited-3/x.jpg")
    plan = plan_jobs(
        ["photos"], "x", Placement(output="o"), recursive=True, own_tags=("edited", "preview")
    )
    names = [job.source_name for job in plan.jobs]
    assert "photos/a-1.jpg" in names
    assert not any(".edited" in name for name in names)


def test_all_variations_have_one_map_and_a_preview_each(folder):
    placement = Placement(maps=Path("maps"), preview=True, variations=2, output="o")
    jobs = plan_jobs(["photos/a.jpg"], "x", placement).jobs
    assert jobs[0].beside == {
        "map": Path("maps/a.png"), "preview": Path("o/a-1.preview.jpg")
    }  # fmt: skip
    assert jobs[1].beside == {"preview": Path("o/a-2.preview.jpg")}


def test_heic_is_found_in_folders_where_it_can_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("a.heic", "b.HEIF", "c.jpg"):
        (tmp_path / "photos" / name).touch()
    for readable, writable, outputs in (
        (True, True, ["a.heic", "b.HEIF", "c.jpg"]),
        (True, False, ["a.jpg", "b.jpg", "c.jpg"]),
        (False, False, ["c.jpg"]),
    ):
        monkeypatch.setattr(images, "can_read_heif", lambda readable=readable: readable)
        monkeypatch.setattr(images, "can_write_heif", lambda writable=writable: writable)
        plan = plan_jobs(["photos"], "x", Placement())
        assert [job.output.name for job in plan.jobs] == outputs


def test_heic_that_cannot_be_written_is_not_replaced_in_place(tmp_path, monkeypatch):
    (tmp_path / "a.heic").touch()
    monkeypatch.setattr(images, "can_write_heif", lambda: False)
    with pytest.raises(UsageError, match=r"--in-place: .*a\.heic is HEIC"):
        plan_jobs([str(tmp_path / "a.heic")], "x", Placement(in_place=True))


# Masks.


def masked(inputs, masks, recursive=False, rows=(), **placement):
    """{input: mask} of a plan."""
    placement = Placement(**{"output": "out", **placement})
    masks = None if masks is None else Path(masks)
    plan = plan_jobs(inputs, "x", placement, recursive=recursive, rows=rows, masks=masks)
    return {job.source_name: job.mask and job.mask.as_posix() for job in plan.jobs}


def white(*names):
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (12, 8), 255).save(path)


def test_one_mask_serves_all_pictures_and_is_none_of_them(folder):
    white("photos/mask.png")
    found = masked(["photos"], "photos/mask.png")
    assert found == {f"photos/{name}": "photos/mask.png" for name in ("a.jpg", "b2.png", "b10.png")}
    assert masked(["photos/a.jpg"], None) == {"photos/a.jpg": None}


def test_a_folder_of_masks_has_one_of_each_name_whatever_the_extension(folder):
    white("photos/masks/a.png", "photos/masks/b2.tif", "photos/masks/b10.png")
    white("photos/masks/deep/c.bmp", "photos/masks/unused.png")
    assert masked(["photos"], "photos/masks", recursive=True) == {
        "photos/a.jpg": "photos/masks/a.png",
        "photos/b2.png": "photos/masks/b2.tif",
        "photos/b10.png": "photos/masks/b10.png",
        "photos/deep/c.jpg": "photos/masks/deep/c.bmp",
    }
    assert masked(["photos/a.jpg"], "photos/masks") == {"photos/a.jpg": "photos/masks/a.png"}


def test_of_two_masks_the_one_with_the_extension_of_the_picture_is_taken(folder):
    white("masks/a.png", "masks/a.jpg")
    assert masked(["photos/a.jpg"], "masks") == {"photos/a.jpg": "masks/a.jpg"}
    Path("masks/a.jpg").rename("masks/a.bmp")
    with pytest.raises(
        UsageError, match=r"^photos/a\.jpg: masks/a\..* and .* could both be its mask"
    ):
        masked(["photos/a.jpg"], "masks")


def test_pictures_without_a_mask_are_told_before_a_model_loads(folder):
    white("masks/a.png")
    said = r"^photos/b2\.png \(and 1 more\): has no mask, such as masks/b2\.png; a white picture"
    with pytest.raises(UsageError, match=said):
        masked(["photos"], "masks")
    with pytest.raises(UsageError, match=r"^--mask none\.png: no such file or folder"):
        masked(["photos"], "none.png")
    with pytest.raises(UsageError, match=r"^--mask masks: a picture from standard input needs"):
        masked(["-"], "masks", output="out.png")


def test_a_mask_in_a_list_goes_before_the_one_for_all(folder):
    white("m.png", "all.png")
    rows = [
        Row(image=Path("photos/a.jpg"), key="photos/a.jpg", mask=Path("m.png")),
        Row(image=Path("photos/b2.png"), key="photos/b2.png"),
    ]
    expected = {"photos/a.jpg": "m.png", "photos/b2.png": "all.png"}
    assert masked([], "all.png", rows=rows) == expected


def test_a_mask_is_never_written_over_nor_a_picture_its_own_mask(folder):
    white("masks/a.jpg")
    with pytest.raises(UsageError, match=r"^masks/a\.jpg: is a mask and would be overwritten"):
        masked(["photos/a.jpg"], "masks", output="masks")
    with pytest.raises(UsageError, match=r"^photos/a\.jpg: is its own mask"):
        masked(["photos/a.jpg"], "photos")


def test_a_mask_is_part_of_what_is_told_of_a_picture(folder):
    white("m.png")
    plan = plan_jobs(["photos/a.jpg"], "x", Placement(output="o.png"), masks=Path("m.png"))
    assert plan.jobs[0].record("planned")["mask"] == "m.png"
    plain = plan_jobs(["photos/a.jpg"], "x", Placement(output="o.png"))
    assert "mask" not in plain.jobs[0].record("planned")


def test_links_in_a_folder_are_pictures_of_their_own_unless_replaced(folder):
    (folder / "photos/link.jpg").symlink_to("a.jpg")
    (folder / "photos/lost.jpg").symlink_to("nowhere.jpg")
    (folder / "photos/itself.jpg").symlink_to("itself.jpg")
    found = {job.key for job in plan_jobs(["photos"], "x", Placement()).jobs}
    assert {"a.jpg", "link.jpg", "lost.jpg", "itself.jpg"} <= found
    replaced = [job.key for job in plan_jobs(["photos"], "x", Placement(in_place=True)).jobs]
    assert "a.jpg" in replaced
    assert "link.jpg" not in replaced


def test_a_folder_in_the_way_of_an_output_is_no_output(folder):
    (folder / "out/a.jpg").mkdir(parents=True)
    plan = plan_jobs(["photos/a.jpg"], "x", Placement(output=str(folder / "out")))
    assert len(plan.jobs) == 1
    assert not plan.skipped


def test_an_output_name_that_is_too_long_is_planned_and_fails_when_written(folder):
    name = "n" * 250 + ".jpg"
    (folder / name).touch()
    assert len(plan_jobs([str(folder / name)], "x", Placement()).jobs) == 1


def test_where_no_result_can_be_written_that_is_told_with_the_plan(folder):
    (folder / "file").touch()
    at = {name: Placement(output=str(folder / name)) for name in ("new/er", "file/sub", "mixed")}
    jobs = {name: plan_jobs(["photos/a.jpg"], "x", place) for name, place in at.items()}
    batch.refuse_unwritable(jobs["new/er"])
    assert not (folder / "new").exists()
    with pytest.raises(UsageError, match="file is a file, not a folder; -o names another place"):
        batch.refuse_unwritable(jobs["file/sub"])
    # One that can be written is enough: the others fail by themselves.
    batch.refuse_unwritable(batch.Plan(jobs=[*jobs["file/sub"].jobs, *jobs["mixed"].jobs]))


def test_a_folder_that_takes_no_files_is_told_with_the_plan(folder, monkeypatch):
    plan = plan_jobs(["photos/a.jpg"], "x", Placement(output=str(folder / "out/deep")))
    monkeypatch.setattr(os, "access", lambda path, how: Path(path) != folder)
    with pytest.raises(UsageError, match=f"{folder}/ cannot be written to"):
        batch.refuse_unwritable(plan)


def test_a_text_that_is_no_text_is_refused(folder):
    with pytest.raises(UsageError, match="its instruction is no UTF-8 text"):
        plan_jobs(["photos/a.jpg"], os.fsdecode(b"sn\xff"), Placement())


def test_a_name_that_is_no_utf_8_is_escaped_in_json(folder):
    name = os.fsdecode(b"latin-\xe9.jpg")
    job = batch.Job(source=Path(name), output=None, key=name, instruction="x")
    assert json.loads(job.to_json("done").encode())["input"] == name
