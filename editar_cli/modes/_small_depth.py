"""The small depth network that comes with the embedded model."""

import json
from pathlib import Path

import numpy as np

from editar_cli.embedded import DEPTH, embedded_folder
from editar_cli.errors import ModelError
from editar_cli.modes._controlnet import resized, stretched
from editar_cli.modes._mode import Extract, ExtractorSettings, Picture


def small_depth_file() -> Path | None:
    """The embedded weights, or ``None`` in an installation without them."""
    folder = embedded_folder()
    file = None if folder is None else folder / DEPTH
    return file if file is not None and file.is_file() else None


def load_small_depth(settings: ExtractorSettings) -> Extract:
    """Make the extractor; a network for one square size, whose map is enlarged smoothly.

    Args:
        settings: ``weights`` names another file, or a folder that holds ``depth.safetensors``.

    Raises:
        ModelError: the weights are missing or damaged.
    """
    import cv2
    import torch
    from safetensors import SafetensorError, safe_open

    from editar_cli.models.depth import DepthConfig, DepthNetwork

    file = settings.weights if settings.weights is not None else small_depth_file()
    if file is None:
        raise ModelError("extractor small: its weights are not in this installation")
    file = file / DEPTH if file.is_dir() else file
    try:
        with safe_open(file, "pt") as archive:
            config = DepthConfig(**json.loads((archive.metadata() or {})["config"]))
            state = {name: archive.get_tensor(name).float() for name in archive.keys()}  # noqa: SIM118
        network = DepthNetwork(config)
        network.load_state_dict(state)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{file}: no small depth network can be read from it: {error}") from error
    network.eval().requires_grad_(False).to(settings.device)

    def extract(picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        side = config.image_size
        square = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        pixels = torch.from_numpy(np.asarray(square)).permute(2, 0, 1)[None].to(settings.device)
        with torch.inference_mode():
            near = network(pixels.float() / 127.5 - 1)[0, 0].cpu().numpy()
        return stretched(resized(near, width, height, cv2.INTER_LINEAR))

    return extract
