"""Random teacher networks in files, so that nothing is downloaded."""

from pathlib import Path

import torch


def write_teacher(file: Path, name: str) -> Path:
    import timm

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model(
            name, num_classes=0, **({"img_size": 224} if "vit" in name else {})
        )
    torch.save(network.state_dict(), file)
    return file
