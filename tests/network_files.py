"""Small networks with random weights, in the layouts in which their libraries load them."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from editar_cli.modes._hub import loading


def enliven(model: torch.nn.Module, last: torch.nn.Conv2d) -> None:
    """Weights that let a picture through, and answers that are not all cut off at zero."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.xavier_normal_(parameter)
    torch.nn.init.constant_(last.bias, 3.0)


def write_tiny_dpt(folder: Path) -> Path:
    """DPT as transformers saves it."""
    with loading("dpt"):
        from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessor
    config = DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16,
        image_size=32, patch_size=8, backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
    )  # fmt: skip
    with torch.random.fork_rng(), loading("dpt"):
        torch.manual_seed(0)
        model = DPTForDepthEstimation(config)
        enliven(model, model.head.head[4])
        model.save_pretrained(folder)
        DPTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def write_tiny_maskformer(folder: Path, classes: Iterable[str]) -> Path:
    """MaskFormer as transformers saves it, and as its publishers described its pictures."""
    with loading("maskformer"):
        from transformers import (
            DetrConfig,
            MaskFormerConfig,
            MaskFormerForInstanceSegmentation,
            ResNetConfig,
        )
    config = MaskFormerConfig(
        backbone_config=ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1],
            layer_type="basic", out_features=["stage1", "stage2", "stage3", "stage4"],
        ),
        decoder_config=DetrConfig(
            d_model=16, decoder_layers=1, encoder_layers=1, decoder_attention_heads=2,
            decoder_ffn_dim=16, num_queries=6,
        ),
        fpn_feature_size=32, mask_feature_size=32,
        id2label={i: name for i, name in enumerate(classes)},
    )  # fmt: skip
    with torch.random.fork_rng(), loading("maskformer"):
        torch.manual_seed(0)
        model = MaskFormerForInstanceSegmentation(config)
        torch.nn.init.normal_(model.class_predictor.weight, std=2.0)
        model.save_pretrained(folder)
    # As the published folder has it: keys and a class of an older transformers.
    processor = {
        "feature_extractor_type": "MaskFormerFeatureExtractor", "do_normalize": True,
        "do_resize": True, "ignore_index": 255, "reduce_labels": False, "resample": 2,
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
        "size": 64, "max_size": 256, "size_divisibility": 0,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def write_random_inception(file: Path) -> Path:
    """The network of FID, of full size, in torch-fidelity's names."""
    import torch_fidelity.feature_extractor_inceptionv3 as module

    empty = {}

    def catch(self, state, *args, **more):
        empty.update({k: torch.randn_like(v) * 0.05 if v.is_floating_point() else v
                      for k, v in self.state_dict().items()})  # fmt: skip
        for name in empty:
            if name.endswith("running_var"):
                empty[name] = torch.ones_like(empty[name])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", catch)
        patch.setattr(module, "load_state_dict_from_url", lambda *args, **more: {})
        with torch.random.fork_rng():
            torch.manual_seed(0)
            module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    torch.save(empty, file)
    return file
