"""The command line's contract, statement by statement.

``STATEMENTS`` names the test of each; those that had none have theirs here, through a process of
its own where that makes a difference.
"""

import ast
import json
import os
import pty
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from _pytest.mark import ParameterSet
from PIL import Image, ImageCms

from editar_cli.embedded import embedded_folder
from editar_cli.metadata import how_made
from tests.commands.test_edit import mask, photo
from tests.conftest import subprocess_settings

TESTS = Path(__file__).resolve().parent

# Topic -> statement -> the tests that hold it; a name without a file is a test of this file.
STATEMENTS = {
    "positionals": {
        "edit: the last word is the instruction": (
            "test_discovery.py::test_the_last_word_is_the_instruction",
        ),
        "edit: unless a flag or all rows of a list give it": (
            "test_discovery.py::test_with_the_flag_every_word_is_an_input",
            "test_discovery.py::test_a_list_with_all_instructions_makes_every_word_an_input",
        ),
        "edit: a last word that is an input is exit code 2, no instruction": (
            "commands/test_edit.py::test_wrong_usage_is_exit_code_2_and_says_which_word",
        ),
        "translate: the last word is a caption if it can be nothing else": (
            "test_discovery.py::test_a_last_word_that_can_be_nothing_else_is_the_caption",
            "test_discovery.py::test_a_last_word_that_may_be_an_input_is_no_caption",
        ),
        "translate: --caption wins": (
            "test_discovery.py::test_with_a_caption_by_flag_every_word_is_an_input",
        ),
    },
    "inputs": {
        "files, folders and globs": (
            "test_batch.py::test_several_files_go_into_the_output_folder_by_name",
            "test_batch.py::test_a_glob_is_expanded_by_us_in_natural_order",
        ),
        "lists as text, CSV and JSON lines, with columns": (
            "commands/test_edit.py::test_a_plain_list_is_edited_by_one_instruction_and_keeps_its_paths",
            "commands/test_edit.py::test_rows_of_a_csv_have_instruction_seed_and_output_of_their_own",
            "commands/test_edit.py::test_rows_of_json_lines_fill_up_from_the_command_line",
            "commands/test_edit.py::test_masks_in_a_list",
            "commands/test_translate.py::test_a_list_gives_each_picture_its_caption_seed_and_place",
        ),
        "a list from standard input": (
            "commands/test_edit.py::test_a_list_from_standard_input",
            "commands/test_translate.py::test_a_list_from_standard_input_with_one_caption_for_all",
        ),
        "recursion, in natural order": (
            "test_batch.py::test_recursive_mirrors_the_tree",
            "test_discovery.py::test_natural_order_counts_numbers",
        ),
        "standard input is read for - only": ("test_standard_input_is_read_where_it_is_named",),
    },
    "output": {
        "-o FILE, DIR or -": (
            "test_batch.py::test_an_output_with_a_picture_extension_is_a_file",
            "test_batch.py::test_any_other_output_is_a_folder",
            "commands/test_edit.py::test_a_pipe_carries_pictures_only",
            "commands/test_translate.py::test_a_pipe_carries_pictures_only",
        ),
        "the tree is mirrored, names and formats are kept": (
            "test_a_folder_of_mixed_pictures_and_the_same_command_again",
            "commands/test_translate.py::test_a_tree_is_mirrored_into_the_output_folder",
        ),
        "--name": ("test_batch.py::test_names_follow_the_pattern_and_the_format",),
        "collisions are refused before a model loads": ("test_refused_before_a_model_loads",),
        "no source is overwritten without --in-place": (
            "test_batch.py::test_a_source_is_not_overwritten_unless_asked",
            "commands/test_edit.py::test_in_place_replaces_the_picture",
            "test_refused_before_a_model_loads",
        ),
    },
    "one file, no -o": {
        "beside it, with the path printed": (
            "commands/test_edit.py::test_one_picture_goes_beside_itself_and_its_path_is_printed",
            "commands/test_translate.py::test_one_picture_goes_beside_itself_and_its_path_is_printed",
        ),
    },
    "a folder, no -o": {
        "its sibling, said on standard error": (
            "test_a_folder_of_mixed_pictures_and_the_same_command_again",
            "commands/test_translate.py::test_a_folder_goes_to_its_sibling_which_is_said",
        ),
        "our own outputs are no inputs": (
            "test_batch.py::test_our_own_outputs_are_never_inputs",
            "test_ledger.py::test_results_kept_among_the_inputs_are_no_inputs",
            "commands/test_translate.py::test_outputs_of_earlier_runs_are_no_inputs",
        ),
    },
    "existing outputs": {
        "skipped and counted, replaced, or an error": (
            "test_a_folder_of_mixed_pictures_and_the_same_command_again",
            "test_refused_before_a_model_loads",
            "commands/test_translate.py::test_what_is_there_is_skipped_unless_it_is_to_be_replaced",
        ),
        "no half file is ever left under a final name": (
            "test_images.py::test_writing_replaces_whole_files_only_and_leaves_nothing_behind",
            "test_fault_script.py::test_killed_twenty_times_a_run_ends_as_one_that_was_left_alone",
            "test_fault_script.py::test_a_full_disk_fails_pictures_and_leaves_no_half_of_one",
        ),
    },
    "resume": {
        "a line per finished picture": (
            "test_ledger.py::test_a_line_says_what_was_made_of_what_and_how",
            "test_a_folder_of_mixed_pictures_and_the_same_command_again",
        ),
        "missing, failed and changed ones are done, others not": (
            "test_ledger.py::test_what_is_missing_is_done",
            "test_ledger.py::test_failed_ones_are_tried_again",
            "test_ledger.py::test_other_settings_are_done_again_once",
            "commands/test_resume.py::test_changed_settings_are_named_and_done_again",
            "test_masks_variations_and_shards_keep_one_account",
        ),
        "two processes do not do one picture twice": (
            "commands/test_resume.py::test_two_processes_on_one_folder_share_its_pictures",
        ),
    },
    "streams": {
        "standard output carries results only": (
            "test_a_folder_of_mixed_pictures_and_the_same_command_again",
            "test_console.py::test_each_verbosity_says_its_part_on_standard_error_only",
        ),
        "a bar on a terminal, none elsewhere": (
            "test_a_pipe_of_two_edits_shows_progress_and_leaves_nothing_but_pixels",
            "test_console.py::test_no_bar_is_drawn_where_no_terminal_shows_it",
        ),
        "--json lines": (
            "commands/test_edit.py::test_variations_are_pictures_of_their_own",
            "commands/test_translate.py::test_lines_of_json_say_caption_map_preview_and_notes",
        ),
        "-q and -v": (
            "commands/test_edit.py::test_quiet_says_nothing_but_results_and_verbose_says_the_seed",
        ),
        "NO_COLOR": (
            "test_console.py::test_colours_appear_on_a_terminal_and_not_with_no_color",
        ),
    },
    "exit code": {
        "0 and 1": ("test_a_folder_of_mixed_pictures_and_the_same_command_again",),
        "2": (
            "commands/test_edit.py::test_wrong_usage_is_exit_code_2_and_says_which_word",
            "commands/test_translate.py::test_wrong_usage_is_exit_code_2_and_says_which_word",
            "test_refused_before_a_model_loads",
        ),
        "3": (
            "commands/test_edit.py::test_a_model_that_cannot_be_loaded_is_exit_code_3",
            "test_a_device_that_is_not_there_is_exit_code_3",
        ),
        "130, with the command to go on": (
            "commands/test_edit.py::test_ctrl_c_keeps_what_is_finished_and_prints_the_command_to_go_on",
            "test_fault_script.py::test_the_command_that_ctrl_c_prints_does_the_rest",
        ),
    },
    "failures": {
        "one bad picture is a line, not the end": (
            "test_faults.py::test_of_a_folder_of_faults_all_that_is_good_is_made_and_all_that_is_bad_is_told",
            "test_fault_script.py::test_a_source_that_vanishes_mid_run_fails_alone",
        ),
        "--fail-fast and --max-failures": (
            "commands/test_edit.py::test_fail_fast_stops_at_the_first_failure",
            "commands/test_run.py::test_a_run_stops_when_as_many_have_failed_as_it_may_stand",
        ),
    },
    "out of memory": {
        "the batch is halved and the size that worked is kept": (
            "test_engine.py::test_when_memory_runs_out_half_as_many_start_again",
            "test_pipeline.py::test_fewer_pictures_at_once_are_told_and_kept_where_one_is_too_much",
        ),
        "at one it says what would help": (
            "test_pipeline.py::test_when_every_picture_is_too_much_each_says_what_would_help",
        ),
    },
    "plan": {
        "--dry-run prints it and loads nothing": (
            "commands/test_edit.py::test_a_dry_run_writes_nothing_and_loads_no_torch",
            "commands/test_translate.py::test_a_dry_run_writes_nothing_and_loads_no_torch",
            "commands/test_resume.py::test_a_dry_run_of_what_is_done_loads_no_torch",
        ),
    },
    "device": {
        "--device, --dtype, --batch-size, --jobs": (
            "test_editor.py::test_devices_are_chosen_by_name_and_refused_by_name",
            "test_editor.py::test_number_formats_follow_the_device",
            "test_options.py::test_a_batch_size_is_auto_or_a_number_from_one",
            "test_editor.py::test_threads_leave_a_model_on_the_cpu_its_cores",
        ),
    },
    "seed": {
        "batch size, order, company, resume and shards change nothing": (
            "commands/test_edit.py::test_pictures_do_not_depend_on_batch_size_order_or_company",
            "commands/test_translate.py::test_pictures_do_not_depend_on_batch_size_order_or_company",
            "commands/test_resume.py::test_killed_at_any_moment_a_run_is_finished_by_the_same_command",
            "test_masks_variations_and_shards_keep_one_account",
        ),
        "the manifest says where bfloat16 is used": ("test_the_manifest_says_the_number_format",),
        "--variations": ("commands/test_edit.py::test_variations_are_pictures_of_their_own",),
        "written into the output": ("commands/test_edit.py::test_a_result_tells_how_it_was_made",),
    },
    "geometry and colour": {
        "size, orientation, profile and transparency are the source's": (
            "test_a_whole_picture_keeps_size_orientation_profile_and_transparency",
            "test_images.py::test_every_orientation_of_every_format_ends_upright",
        ),
        "--size model, --fit": (
            "commands/test_edit.py::test_the_models_own_square_and_the_models_own_pixels",
            "commands/test_translate.py::test_a_result_has_the_size_of_the_part_that_the_model_saw",
        ),
        "bit depth, greyscale, CMYK": (
            "test_images.py::test_16_bit_colour_keeps_its_depth_where_nothing_changed",
            "test_images.py::test_greyscale_stays_greyscale",
            "test_images.py::test_cmyk_comes_back_as_cmyk_and_looks_the_same",
        ),
        "animations and pages are refused unless --frame": (
            "commands/test_edit.py::test_a_frame_of_an_animation_is_edited_and_the_note_says_which",
        ),
    },
    "what must not change": {
        "outside of mask and region, bit for bit": (
            "commands/test_edit.py::test_outside_of_a_mask_lossless_files_stay_bit_for_bit",
            "commands/test_edit.py::test_a_region_in_percent_and_a_hard_edge",
            "test_outside_of_a_mask_deep_and_transparent_files_stay_bit_for_bit",
            "test_outside_of_a_mask_the_embedded_model_changes_nothing",
        ),
        "a folder of masks": (
            "commands/test_edit.py::test_each_picture_of_a_folder_has_its_mask_and_a_bad_one_is_its_failure_alone",
        ),
        "--preserve": (
            "test_images.py::test_restore_keeps_regions_of_equal_codes_bit_for_bit_inside_a_crop",
        ),
    },
    "guidance": {
        "flags reach the model, image guidance is off": (
            "test_editor.py::test_the_instruction_and_the_sampling_matter",
            "test_config.py::test_the_defaults_are_the_published_ones",
        ),
    },
    "configuration": {
        "flag, environment, file, default; --save-config": (
            "test_flags.py::test_flag_before_environment_before_file_before_default",
            "test_flags.py::test_what_is_saved_gives_the_same_again",
            "test_settings_are_saved_and_come_back",
        ),
    },
    "models": {
        "by name or path": (
            "checkpoints/test_registry.py::test_paths_are_taken_as_they_are_and_known_names_win",
        ),
        "list, pull, path, verify, convert": (
            "commands/test_weights.py::test_list_shows_names_sizes_and_places",
            "commands/test_weights.py::test_pull_tells_sizes_on_stderr_and_prints_the_folder",
            "commands/test_weights.py::test_path_of_what_is_not_here_says_how_to_get_it",
            "commands/test_weights.py::test_verify_takes_a_folder_and_finds_damage",
            "commands/test_weights.py::test_convert_prints_the_bundle_and_reports_on_stderr",
        ),
        "sums are checked, offline is honoured": (
            "checkpoints/test_pull.py::test_a_file_that_is_not_what_the_hub_states_is_refused",
            "checkpoints/test_pull.py::test_offline_is_honoured_and_names_what_is_missing",
        ),
    },
    "choice": {
        "--best-of and --sheet": (
            "commands/test_edit.py::test_the_best_of_several_is_written_and_all_are_kept_where_asked",
            "commands/test_edit.py::test_a_sheet_shows_the_run_and_is_no_input_of_the_next",
        ),
    },
    "translate only": {
        "--mode, --extractor, --input": (
            "commands/test_translate.py::test_the_extractors_of_a_mode_are_listed",
            "commands/test_translate.py::test_maps_are_taken_as_they_are_or_turned_round",
        ),
        "--save-map, --map-only, --preview": (
            "commands/test_translate.py::test_a_map_that_was_saved_gives_the_picture_that_its_photograph_gave",
            "commands/test_translate.py::test_maps_alone_have_the_size_of_the_picture_and_need_no_model",
            "commands/test_translate.py::test_a_preview_shows_source_map_and_result",
        ),
    },
    "health": {
        "editar doctor": ("commands/test_doctor.py::test_it_finds_this_machine_fit_for_edits",),
    },
    "review": {
        "--report": (
            "commands/test_report.py::test_a_run_writes_its_page_also_after_failures",
            "test_report_in_browser.py::test_the_divider_parts_before_and_after",
        ),
    },
    "at start": {
        "help, version and completion load no torch": (
            "test_cli.py::test_help_and_version_load_nothing_heavy",
            "test_completion_knows_commands_and_flags_and_loads_nothing_heavy",
        ),
    },
    "more machines": {
        "--shard": (
            "test_ledger.py::test_shards_are_the_whole_and_no_picture_is_in_two",
            "test_masks_variations_and_shards_keep_one_account",
        ),
    },
    "worked lines": {
        "each of them": (
            "test_the_worked_lines_do_what_they_say",
            "commands/test_pie_bench.py::test_without_data_the_miniature_runs_and_says_what_it_is",
        ),
        "from Python": ("test_readme.py::test_the_python_lines_run",),
    },
}  # fmt: skip


def test_every_statement_has_a_test_that_is_there():
    there: dict[str, set[str]] = {}
    for statements in STATEMENTS.values():
        for statement, names in statements.items():
            assert names, statement
            for name in names:
                file, _, function = name.rpartition("::")
                file = file or Path(__file__).name
                if file not in there:
                    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
                    there[file] = {
                        node.name for node in tree.body if isinstance(node, ast.FunctionDef)
                    }
                assert function in there[file], f"{statement}: {name}"


@pytest.fixture
def edit(call_editar, tiny_bundle):
    """`editar edit ARGS... --model TINY`."""

    def run(*args, **more):
        return call_editar("edit", *args, "--model", tiny_bundle, "--device", "cpu", **more)

    return run


def lines(folder):
    return [json.loads(text) for text in (folder / "manifest.jsonl").read_text().splitlines()]


# Folders.


def test_a_folder_of_mixed_pictures_and_the_same_command_again(run_editar, tiny_bundle, tmp_path):
    formats = {
        "2.png": "PNG", "10.jpg": "JPEG", "10.png": "PNG",
        "Ünï/3.webp": "WEBP", "deep/er/4.tiff": "TIFF",
    }  # fmt: skip
    for seed, name in enumerate(formats):
        photo(tmp_path / "photos" / name, seed=seed)
    (tmp_path / "photos/5.jpg").write_bytes(b"no picture")
    before = {file: file.read_bytes() for file in (tmp_path / "photos").rglob("*.*")}
    words = ("edit", "photos", "make it snowy", "-r", "--model", tiny_bundle, "--seed", "7")
    result = run_editar(*words)
    errors = result.stderr.decode()
    assert result.returncode == 1, errors
    # Results only, in natural order, folders after the files beside them.
    made = result.stdout.decode().split()
    assert made[:3] == ["photos.edited/2.png", "photos.edited/10.jpg", "photos.edited/10.png"]
    assert sorted(made[3:]) == ["photos.edited/deep/er/4.tiff", "photos.edited/Ünï/3.webp"]
    assert "results go to photos.edited/" in errors
    assert "error: photos/5.jpg: not a picture" in errors
    assert "1 of 6 pictures failed" in errors
    assert not {"\r", "\x1b"} & set(errors), "no bar and no colours where no terminal is"
    for name, format in formats.items():
        with Image.open(tmp_path / "photos.edited" / name) as image:
            assert (image.format, image.size) == (format, (60, 40))
    assert {file: file.read_bytes() for file in before} == before
    records = {line["output"]: line for line in lines(tmp_path / "photos.edited")}
    assert set(records) == {*formats, "5.jpg"}
    line = records["2.png"]
    assert line["status"] == "done" and line["input"] == "../photos/2.png"
    assert len(line["input_hash"]) == 32 and line["seconds"] > 0 and line["seed"] > 7
    assert line["settings"]["instruction"] == "make it snowy" and line["settings"]["seed"] == 7
    assert "not a picture" in records["5.jpg"]["error"]

    (tmp_path / "photos.edited/10.png").unlink()
    photo(tmp_path / "photos/5.jpg", seed=9)
    again = run_editar(*words)
    assert again.returncode == 0, again.stderr
    assert again.stdout.decode().split() == ["photos.edited/5.jpg", "photos.edited/10.png"]
    assert b"skipped: 4 outputs" in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.jpg", "b/a.jpg", "x", "-o", "out/"], "would both be written to out/a.jpg"),
        (["a.jpg", "a.png", "x", "-o", "out/", "--format", "png"], "would both be written"),
        (["a.jpg", "x", "-o", "a.jpg"], "is an input and would be overwritten"),
        (["a.jpg", "x", "-o", "link.jpg"], "is an input and would be overwritten"),
        ([".", "x", "-o", "."], "is an input and would be overwritten"),
        (["a.jpg", "x", "-o", "a.png", "--on-exists", "error"], "is already there"),
        (["a.jpg", "b/a.jpg", "x", "-o", "-"], "- stands for one picture, but there are 2"),
        (["a.jpg", "-", "x", "-o", "out/"], "- stands for one picture"),
        (["a.jpg", "x", "-o", "a.png/out.jpg"], "a.png is a file, not a folder"),
        (["a.jpg", "x", "--mask", "none.png"], "no such file"),
        (["a.jpg", "x", "--shard", "0/2"], "--shard 0/2"),
    ],
)  # fmt: skip
def test_refused_before_a_model_loads(call_editar, tmp_path, words, said):
    for name in ("a.jpg", "a.png", "b/a.jpg"):
        photo(tmp_path / name, 20, 20)
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    before = sorted(tmp_path.rglob("*"))
    # With a model that is not there: the words are looked at first.
    result = call_editar("edit", *words, "--model", "no-such-model")
    assert (result.returncode, result.stdout) == (2, b""), result.stderr
    assert said in result.stderr.decode()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_masks_variations_and_shards_keep_one_account(edit, tmp_path):
    for seed in range(4):
        photo(tmp_path / f"photos/{seed}.png", seed=seed)
        mask(tmp_path / f"masks/{seed}.png", (0, 0, 60, 20))
    words = ("photos", "at night", "--mask", "masks", "--variations", "2")
    assert edit(*words, "-o", "whole").returncode == 0
    told = []
    for number in ("1", "2", "3"):
        part = edit(*words, "-o", "parts", "--shard", f"{number}/3", "--batch-size", number)
        assert part.returncode == 0, part.stderr
        told += part.stdout.decode().split()
    names = sorted(f"{seed}-{number}.png" for seed in range(4) for number in (1, 2))
    assert sorted(told) == [f"parts/{name}" for name in names]
    for name in names:
        data = (tmp_path / "parts" / name).read_bytes()
        assert data == (tmp_path / "whole" / name).read_bytes()
    records = lines(tmp_path / "parts")
    assert sorted(line["output"] for line in records) == names
    assert {line["mask"] for line in records} == {f"../masks/{seed}.png" for seed in range(4)}
    # All of it in one run: nothing is left to do, but for one whose mask has changed.
    mask(tmp_path / "masks/2.png", (0, 0, 60, 10))
    (tmp_path / "parts/0-2.png").unlink()
    again = edit(*words, "-o", "parts")
    assert again.stdout.decode().split() == ["parts/0-2.png", "parts/2-1.png", "parts/2-2.png"]
    assert b"because of other settings (mask)" in again.stderr


@pytest.mark.slow
def test_the_manifest_says_the_number_format(edit, tmp_path):
    photo(tmp_path / "photos/a.png")
    assert edit("photos", "x", "-o", "out", "--dtype", "bfloat16").returncode == 0
    assert edit("photos", "x", "-o", "out").stdout == b"", "auto is content with what is there"
    again = edit("photos", "x", "-o", "out", "--dtype", "float32")
    assert b"other settings (dtype)" in again.stderr
    assert [line["settings"]["dtype"] for line in lines(tmp_path / "out")] == [
        "bfloat16", "float32"
    ]  # fmt: skip


def test_a_device_that_is_not_there_is_exit_code_3(call_editar, tiny_bundle, tmp_path):
    photo(tmp_path / "a.png")
    result = call_editar("edit", "a.png", "x", "--model", tiny_bundle, "--device", "cuda:99")
    assert result.returncode == 3
    assert b"cuda" in result.stderr and b"Traceback" not in result.stderr
    assert os.listdir(tmp_path) == ["a.png"]


# Pictures.


def slow(*values: str) -> list[ParameterSet]:
    """Values of a parameter that are tried in the slow tier only."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("name", ["in.png", *slow("in.jpg", "in.tiff", "in.webp", "in.avif")])
def test_a_whole_picture_keeps_size_orientation_profile_and_transparency(edit, tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(photo(tmp_path / "photo.png", 61, 40)) as upright:
        image = upright.convert("RGB" if name == "in.jpg" else "RGBA")
    if image.mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    options = {"quality": 100} if name == "in.avif" else {}
    options |= {"lossless": True} if name == "in.webp" else {}
    # Stored lying on its side.
    image.transpose(Image.Transpose.ROTATE_90).save(
        tmp_path / name, exif=exif, icc_profile=PROFILE, **options
    )
    result = edit(name, "at night", "-o", f"out{Path(name).suffix}")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / f"out{Path(name).suffix}") as made:
        assert (made.size, made.mode) == (image.size, image.mode)
        assert made.getexif().get(0x0112, 1) == 1
        assert made.info["icc_profile"] == PROFILE
        if image.mode == "RGBA":
            given, kept = (np.asarray(picture.getchannel("A"), int) for picture in (image, made))
            assert np.abs(given - kept).max() <= (4 if name == "in.avif" else 0)


@pytest.mark.parametrize("mode", ["RGB;16", *slow("RGBA", "LA", "L", "I;16")])
def test_outside_of_a_mask_deep_and_transparent_files_stay_bit_for_bit(edit, tmp_path, mode):
    import cv2

    draw = np.random.default_rng(1)
    if mode == "RGB;16":
        pixels = draw.integers(0, 1 << 16, (40, 60, 3)).astype(np.uint16)
        cv2.imwrite(str(tmp_path / "in.png"), pixels)
    elif mode == "I;16":
        cv2.imwrite(str(tmp_path / "in.png"), draw.integers(0, 1 << 16, (40, 60)).astype(np.uint16))
    else:
        shape = (40, 60, len(mode)) if len(mode) > 1 else (40, 60)
        Image.fromarray(draw.integers(0, 256, shape).astype(np.uint8), mode).save(
            tmp_path / "in.png"
        )
    mask(tmp_path / "mask.png")
    assert edit("in.png", "at night", "--mask", "mask.png", "-o", "out.png").returncode == 0
    before, after = (
        cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED) for name in ("in.png", "out.png")
    )
    assert (before.dtype, before.shape) == (after.dtype, after.shape)
    assert np.array_equal(before[20:], after[20:])
    assert np.array_equal(before[:, 30:], after[:, 30:])
    assert not np.array_equal(before[:20, :30], after[:20, :30])


EXAMPLES = TESTS.parent / "examples"


@pytest.mark.slow
@pytest.mark.skipif(embedded_folder() is None, reason="this checkout has no embedded model yet")
@pytest.mark.parametrize("name", ["in.png", "in.tiff", "in.webp"])
def test_outside_of_a_mask_the_embedded_model_changes_nothing(shell, tmp_path, name):
    options = {"lossless": True} if name == "in.webp" else {}
    with Image.open(EXAMPLES / "coast.jpg") as image:
        image.resize((1800, 900)).save(tmp_path / name, **options)
    mask(tmp_path / "mask.png", (300, 100, 1200, 500), (1800, 900))
    output = f"out{Path(name).suffix}"
    result = shell(f"editar edit {name} 'make it snowy' --mask mask.png -o {output}", model=None)
    assert result.returncode == 0, result.stderr
    before, after = (np.asarray(Image.open(tmp_path / file)) for file in (name, output))
    changed = (before != after).any(axis=2)
    assert changed[100:500, 300:1200].mean() > 0.5
    changed[100:500, 300:1200] = False
    assert not changed.any()


# Streams.


@pytest.mark.slow
def test_standard_input_is_read_where_it_is_named(tiny_bundle, tmp_path):
    photo(tmp_path / "in.png", 20, 20)
    words = ["edit", "in.png", "x", "-o", "out.png", "--model", str(tiny_bundle)]
    # A pipe that nobody ever writes into or closes: whoever reads it waits for ever.
    with subprocess.Popen(
        [sys.executable, "-m", "editar_cli", *words],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=subprocess_settings(),
    ) as process:
        assert process.stdout.read() == b"out.png\n"
        assert process.wait(60) == 0


@pytest.mark.slow
def test_a_pipe_of_two_edits_shows_progress_and_leaves_nothing_but_pixels(
    tiny_bundle, tmp_path, editar_on_path
):
    photo(tmp_path / "in.jpg")
    ours, theirs = pty.openpty()
    line = (
        'cat in.jpg | editar edit - "at night" -o - | editar edit - "make it snowy" -o - > out.png'
    )
    settings = {"PATH": editar_on_path, "EDITAR_MODEL": str(tiny_bundle), "TERM": "xterm"}
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", line],
        cwd=tmp_path,
        stderr=theirs,
        env={**subprocess_settings(), **settings},
    )
    os.close(theirs)
    shown = b""
    while part := read_terminal(ours):
        shown += part
    os.close(ours)
    assert process.wait() == 0, shown
    for text in (b"loading the model", "━".encode()):
        assert text in shown
    data = (tmp_path / "out.png").read_bytes()
    # The input's format, whatever the name behind >; from its first byte to its last.
    assert data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9")
    with Image.open(BytesIO(data)) as image:
        image.load()
        assert image.size == (60, 40)
    made = how_made(tmp_path / "out.png")
    assert made["instruction"] == "make it snowy"


def read_terminal(descriptor: int) -> bytes:
    """What comes next; nothing at its end, which Linux reports as an error."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


# At start.


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("editar ", {"edit", "translate", "bench", "train", "weights", "doctor", "report"}),
        ("editar edit --rec", {"--recursive"}),
        ("editar translate --ma", {"--map-only"}),
        ("editar edit --on-exists ", {"skip", "overwrite", "error"}),
    ],
)
def test_completion_knows_commands_and_flags_and_loads_nothing_heavy(
    editar_on_path, tmp_path, words, expected
):
    count = len(words.split(" ")) - 1
    completing = {
        "_EDITAR_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(count),
    }
    result = subprocess.run(
        ["editar"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={
            **subprocess_settings(),
            "PATH": editar_on_path,
            "PYTHONPROFILEIMPORTTIME": "1",
            **completing,
        },
    )
    assert expected <= set(result.stdout.split())
    loaded = {line.rsplit("|", 1)[-1].strip() for line in result.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {"torch", "numpy", "PIL", "transformers", "tokenizers", "safetensors"}


def test_the_script_of_completion_is_shown_and_is_bash(editar_on_path, tmp_path):
    settings = {**subprocess_settings(), "PATH": editar_on_path, "SHELL": "/bin/bash"}
    line = "editar --show-completion > shown.sh && . ./shown.sh && complete -p editar"
    result = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, env=settings
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[-1] == "editar"


def test_settings_are_saved_and_come_back(run_editar, tmp_path):
    photo(tmp_path / "photos/a.jpg", 20, 20)
    (tmp_path / "given.toml").write_text('[edit]\noutput = "file"\nname = "{stem}_file{ext}"\n')
    words = ("edit", "photos", "x", "--config", "given.toml", "--dry-run")
    settings = {"EDITAR_OUTPUT": "environment", "EDITAR_FORMAT": "png"}
    saving = ("--save-config", "saved.toml", "--format", "webp")
    first = run_editar(*words, *saving, env=settings)
    assert first.stdout == b"photos/a.jpg -> environment/a_file.webp\n", first.stderr
    again = run_editar("edit", "photos", "x", "--config", "saved.toml", "--dry-run")
    assert again.stdout == first.stdout, again.stderr


# The worked lines.

LINES = {
    'editar edit in.jpg "make it snowy"': {"in.edited.jpg"},
    'editar edit photos/ "make it snowy" -r -o out/ --report out/report.html': {
        "out/a.jpg", "out/deep/b.jpg", "out/report.html", "out/manifest.jsonl",
    },
    "editar translate --mode canny dir/": {"dir.canny/c.jpg", "dir.canny/manifest.jsonl"},
    'editar translate --mode canny dir/ "a watercolour village" -o out/': {
        "out/c.jpg", "out/manifest.jsonl",
    },
    'cat in.jpg | editar edit - "at night" -o - | editar edit - "make it snowy" -o - > out.png': {
        "out.png"
    },
    "find . -name '*.jpg' | "
    'editar edit --from-file - "black and white" -o out/ --json | jq .output': {
        "out/in.jpg", "out/photos/a.jpg", "out/photos/deep/b.jpg", "out/dir/c.jpg",
        "out/manifest.jsonl",
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("line", LINES)
def test_the_worked_lines_do_what_they_say(shell, tmp_path, line):
    if "| jq" in line and shutil.which("jq") is None:
        pytest.skip("jq is not here")
    for name in ("in.jpg", "photos/a.jpg", "photos/deep/b.jpg", "dir/c.jpg"):
        photo(tmp_path / name)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    result = shell(line)
    assert result.returncode == 0, result.stderr
    made = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert {path.relative_to(tmp_path).as_posix() for path in made} == LINES[line]
    for path in made - {path for path in made if path.suffix in (".html", ".jsonl")}:
        with Image.open(path) as image:
            assert image.size == (60, 40)
    if "| jq" in line:
        assert {json.loads(text) for text in result.stdout.splitlines()} == {
            name for name in LINES[line] if name.endswith(".jpg")
        }
