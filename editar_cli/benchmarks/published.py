"""Figures that papers print, to stand beside ours; second-hand, from tables of the papers named.

``None`` is a figure that the tables known to us do not give.
"""

from collections.abc import Mapping

from editar_cli.benchmarks.results import Published

SOURCE = "tables of EditAR (arXiv 2501.04699) and of the methods' own papers, second-hand"

# As printed: structure distance and LPIPS times 1000, MSE times 10,000, SSIM times 100.
PIE_BENCH = Published(
    columns=(
        "structure_distance",
        "psnr_unedit_part",
        "lpips_unedit_part",
        "mse_unedit_part",
        "ssim_unedit_part",
        "clip_similarity_target_image",
        "clip_similarity_target_image_edit_part",
    ),
    rows={
        "EditAR": (39.43, 21.32, 117.15, 130.27, 75.13, 24.87, 21.87),
        "InstructPix2Pix": (107.43, 16.69, 271.33, None, None, 23.49, 22.20),
        "MGIE": (67.41, 21.20, 142.25, None, None, 24.28, 21.79),
        "SEED-X-Edit": (61.69, 18.80, 173.63, None, None, 25.51, None),
        "PnPInversion + Prompt-to-Prompt": (11.65, 27.22, 54.55, 32.86, 84.76, 25.02, 22.10),
        "SCAR": (30.98, 22.59, 105.09, 83.47, None, 26.07, None),
    },
    source=SOURCE,
)

_FID = {
    "EditAR": (13.91, 15.97, 16.13),
    "ControlNet": (14.73, 17.76, 21.33),
    "ControlNet++": (18.23, 16.66, 19.29),
    "ControlAR": (17.51, 14.61, None),
    "SCAR": (10.82, 13.77, None),
}

FID: Mapping[str, Published] = {
    mode: Published(
        columns=("fid",),
        rows={method: (values[number],) for method, values in _FID.items()},
        source=SOURCE,
    )
    for number, mode in enumerate(("canny", "depth", "segmentation"))
}
"""Rows of FID by benchmark."""
