"""Networks of metrics: from a file, or from the model hub and its cache."""

from pathlib import Path

from torch import nn

from editar_cli.errors import EditarError


class MetricMissing(EditarError):
    """A figure cannot be computed here: what is missing, and what would bring it."""


def timm_network(name: str, weights: Path | None) -> nn.Module:
    """A network of timm in evaluation mode.

    Args:
        name: timm's.
        weights: a file under timm's own names (safetensors or a state dict), or ``None`` for the
            hub's.

    Raises:
        MetricMissing: timm or the weights are not there.
    """
    try:
        import timm
    except ImportError as error:
        raise MetricMissing('timm is not installed: pip install "editar[bench]"') from error
    network: nn.Module
    if weights is not None:
        if not weights.is_file():
            raise MetricMissing(f"{weights}: no such file of weights for {name}")
        network = timm.create_model(name, pretrained=False, num_classes=0)
        from timm.models import load_checkpoint

        try:
            load_checkpoint(network, str(weights), strict=True, weights_only=True)
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            raise MetricMissing(f"{weights}: cannot be loaded as {name}: {error}") from error
    else:
        try:
            network = timm.create_model(name, pretrained=True, num_classes=0)
        # The hub's client has many ways to fail without a network.
        except Exception as error:
            raise MetricMissing(
                f"the weights of {name} are not in the hub's cache and cannot be downloaded: "
                f"{error}; name a file of them, or run once with a network"
            ) from error
    return network.eval().requires_grad_(False)
