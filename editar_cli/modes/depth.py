"""Depth, near is bright."""

from pathlib import Path

import numpy as np

from editar_cli.modes._agreement import depth_agreement
from editar_cli.modes._controlnet import (
    Values,
    grey,
    midas_network,
    on_picture,
    stretched,
    within_aspect,
    zoe_network,
)
from editar_cli.modes._hub import (
    cached_folder,
    in_cache,
    installed,
    loading,
    need,
    reading,
    weights_file,
    weights_folder,
)
from editar_cli.modes._maps import read_depth
from editar_cli.modes._mode import (
    Download,
    Extract,
    Extractor,
    ExtractorSettings,
    Mode,
    Picture,
    by_name,
)

PROMPT = "Given the depth image, generate an image following the description: "

DPT = Download(repository="Intel/dpt-large", file="model.safetensors", megabytes=1370)
DEPTH_ANYTHING = Download(
    repository="depth-anything/Depth-Anything-V2-Small-hf", file="model.safetensors", megabytes=99
)
MIDAS = Download(
    repository="lllyasviel/Annotators", file="dpt_hybrid-midas-501f0c75.pt", megabytes=470
)
ZOE = Download(repository="lllyasviel/Annotators", file="ZoeD_M12_N.pt", megabytes=1440)


def load_small(settings: ExtractorSettings) -> Extract:
    """The embedded model's own depth network.

    Raises:
        ModelError: OpenCV is not installed, or the weights cannot be read.
    """
    from editar_cli.modes._small_depth import load_small_depth

    need("small", "cv2")
    return load_small_depth(settings)


def load_dpt(settings: ExtractorSettings) -> Extract:
    """DPT by transformers.

    Raises:
        ModelError: packages or weights are not to be had.
    """
    need("dpt", "transformers", "cv2")
    folder = weights_folder("dpt", DPT, settings, _at_hand())
    return _transformers_depth("dpt", "DPTForDepthEstimation", folder, settings.device)


def load_depth_anything(settings: ExtractorSettings) -> Extract:
    """Depth Anything by transformers.

    Raises:
        ModelError: packages or weights are not to be had.
    """
    name = "depth-anything"
    need(name, "transformers", "cv2")
    folder = weights_folder(name, DEPTH_ANYTHING, settings, _at_hand())
    return _transformers_depth(name, "AutoModelForDepthEstimation", folder, settings.device)


def load_midas(settings: ExtractorSettings) -> Extract:
    """MiDaS' DPT-Hybrid by controlnet-aux.

    Raises:
        ModelError: packages or weights are not to be had.
    """
    need("midas", "controlnet_aux", "cv2")
    file = weights_file("midas", MIDAS, settings, _at_hand())
    network = on_picture(midas_network(file, settings.device), settings.resolution)
    return lambda picture: stretched(network(picture))


def load_zoe(settings: ExtractorSettings) -> Extract:
    """ZoeDepth by controlnet-aux.

    Raises:
        ModelError: packages or weights are not to be had.
    """
    need("zoe", "controlnet_aux", "cv2")
    file = weights_file("zoe", ZOE, settings, _at_hand())
    network = on_picture(zoe_network(file, settings.device), settings.resolution)
    return lambda picture: nearness(network(picture))


def nearness(metres: Values) -> Picture:
    """(H, W) depth -> HWC uint8, near is bright, by the annotator's rule.

    The nearest 2 % are white and the farthest 15 % black: metres, unlike inverse depth, would
    otherwise give most of the range to what is far away.
    """
    near, far = (float(np.percentile(metres, share)) for share in (2, 85))
    if far <= near:
        return stretched(-metres)
    return grey(1 - (metres - near) / (far - near))


def _transformers_depth(name: str, kind: str, folder: Path, device: str) -> Extract:
    import torch
    from PIL import Image

    with loading(name):
        import transformers

        with reading(folder, "depth network"):
            model = getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32)
            # By its class: older folders name a class of the processor that is gone.
            processor = transformers.DPTImageProcessor.from_pretrained(folder)
    model.eval().to(device)
    # All but the metric variants of Depth Anything predict inverse depth, where near is large.
    sign = -1 if getattr(model.config, "depth_estimation_type", None) == "metric" else 1

    def extract(picture: Picture) -> Picture:
        image = Image.fromarray(within_aspect(picture))
        with torch.inference_mode():
            inputs = processor(images=image, return_tensors="pt")
            depth = model(pixel_values=inputs["pixel_values"].to(device)).predicted_depth
            depth = torch.nn.functional.interpolate(
                depth[:, None], picture.shape[:2], mode="bicubic", align_corners=False
            )
        return stretched(sign * depth[0, 0].cpu().numpy())

    return extract


def _at_hand() -> list[str]:
    return [name for name, extractor in MODE.extractors.items() if extractor.at_hand()]


def _small_at_hand() -> bool:
    from editar_cli.modes._small_depth import small_depth_file

    return installed("cv2") and small_depth_file() is not None


def _transformers_at_hand(download: Download) -> bool:
    return installed("transformers", "cv2") and cached_folder(download.repository) is not None


def _controlnet_at_hand(download: Download) -> bool:
    return installed("controlnet_aux", "cv2") and in_cache(download.repository, download.file)


MODE = Mode(
    name="depth",
    prompt=PROMPT,
    extractors=by_name(
        Extractor(
            name="small",
            summary="a small network trained on rendered scenes; coarse",
            load=load_small,
            takes=frozenset({"weights"}),
            at_hand=_small_at_hand,
        ),
        Extractor(
            name="dpt",
            summary="DPT-Large, as in the paper's evaluation",
            load=load_dpt,
            takes=frozenset({"weights"}),
            download=DPT,
            at_hand=lambda: _transformers_at_hand(DPT),
        ),
        Extractor(
            name="depth-anything",
            summary="Depth Anything V2 Small; fine and quick",
            load=load_depth_anything,
            takes=frozenset({"weights"}),
            download=DEPTH_ANYTHING,
            at_hand=lambda: _transformers_at_hand(DEPTH_ANYTHING),
        ),
        Extractor(
            name="midas",
            summary="MiDaS DPT-Hybrid, as the ControlNet annotator",
            load=load_midas,
            takes=frozenset({"weights", "resolution"}),
            download=MIDAS,
            at_hand=lambda: _controlnet_at_hand(MIDAS),
        ),
        Extractor(
            name="zoe",
            summary="ZoeDepth, as the ControlNet annotator",
            load=load_zoe,
            takes=frozenset({"weights", "resolution"}),
            download=ZOE,
            at_hand=lambda: _controlnet_at_hand(ZOE),
        ),
    ),
    resize="smooth",
    read=read_depth,
    agreement=depth_agreement,
)
