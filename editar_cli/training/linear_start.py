"""Initial values for a tokenizer that has little time to learn.

Left to itself a small autoencoder first learns how bright a cell is, and finds its colours only
thousands of steps later. Here it starts with them. Convolutions keep their input's variance, and
residual branches begin at zero, so encoder and decoder start close to linear; the projection to
code vectors is then fitted by least squares to each cell's mean light and colour and its coarsest
gradients, and the last convolution to the pixels. Training starts from a blurred picture in the
right colours.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from editar_cli.models.vq import ResidualBlock, SpatialAttention, VQTokenizer
from editar_cli.training.losses import OPPONENT

# Length of the constant coordinate beside the unit-variance ones: it lets a unit-length vector
# carry how far they are from zero.
CONSTANT = 1.5
# Standard deviation of the offsets of the first convolution.
OFFSET = 0.3
# Ridge of the fits, relative to the features' variance.
RIDGE = 1e-3


@torch.no_grad()
def start(tokenizer: VQTokenizer, pixels: Tensor) -> None:
    """Set initial values from a batch of pictures.

    Args:
        tokenizer: freshly built.
        pixels: (B, 3, H, W) float in [-1, 1]; a few hundred small crops.
    """
    for module in tokenizer.modules():
        # PyTorch's default shrinks the signal at every layer, below the biases.
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            nn.init.zeros_(_bias(module))
    for module in tokenizer.modules():
        if isinstance(module, ResidualBlock):
            _zero(module.conv2)
        elif isinstance(module, SpatialAttention):
            _zero(module.proj_out)
    # Offsets beside the signal: without them the last normalisation forgets how bright the whole
    # picture is.
    nn.init.normal_(_bias(tokenizer.encoder.conv_in), std=OFFSET)

    config = tokenizer.config
    features = torch.cat([tokenizer.encoder(part) for part in torch.split(pixels, 32)])
    wanted = coarse_features(pixels, config.downsampling)[:, : config.codebook_dim - 1]
    mean, std = wanted.mean((0, 2, 3), keepdim=True), wanted.std((0, 2, 3), keepdim=True)
    constant = torch.full_like(wanted[:, :1], CONSTANT)
    _fit(tokenizer.quant_conv, features, torch.cat([constant, (wanted - mean) / std], dim=1))
    vectors = F.normalize(tokenizer.quant_conv(features), dim=1)
    _fit(tokenizer.decoder.conv_out, _last_features(tokenizer, vectors), pixels)


def coarse_features(pixels: Tensor, cell: int) -> Tensor:
    """(B, 3, H, W) float in [-1, 1] -> (B, 7, H / cell, W / cell) means and differences per cell.

    Mean light, two mean opponent colours, light right minus left, bottom minus top, along one
    diagonal minus the other, and mean absolute deviation of light from the cell's mean.
    """
    opponent = torch.einsum("oc,bchw->bohw", OPPONENT.to(pixels), pixels)
    light = opponent[:, :1]
    quarters = F.avg_pool2d(light, cell // 2) if cell > 1 else light.repeat_interleave(2, -1)
    a, b = quarters[..., 0::2, 0::2], quarters[..., 0::2, 1::2]
    c, d = quarters[..., 1::2, 0::2], quarters[..., 1::2, 1::2]
    mean = F.avg_pool2d(light, cell)
    spread = F.avg_pool2d((light - F.interpolate(mean, scale_factor=float(cell))).abs(), cell)
    return torch.cat(
        [F.avg_pool2d(opponent, cell), b + d - a - c, c + d - a - b, a + d - b - c, spread], dim=1
    )


def _last_features(tokenizer: VQTokenizer, vectors: Tensor) -> Tensor:
    """(B, C, h, w) code vectors -> (B, channels, H, W): what the decoder's last layer reads."""
    seen: list[Tensor] = []
    hook = tokenizer.decoder.conv_out.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0])
    )
    for part in torch.split(vectors, 32):
        tokenizer.decode_vectors(part)
    hook.remove()
    return torch.cat(seen)


def _zero(layer: nn.Conv2d) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(_bias(layer))


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def _fit(layer: nn.Conv2d, features: Tensor, wanted: Tensor) -> None:
    """Least-squares weights of a convolution from (B, C, h, w) features to (B, O, h, w)."""
    size = layer.kernel_size[0]
    columns = features.shape[1] * size * size + 1
    products, targets = (
        torch.zeros(columns, columns).double(),
        torch.zeros(columns, wanted.shape[1]).double(),
    )
    # On the CPU, because not every device has float64.
    parts = zip(torch.split(features.cpu(), 16), torch.split(wanted.cpu(), 16), strict=True)
    for part, goal in parts:
        patches = F.unfold(part, size, padding=size // 2).transpose(1, 2).flatten(0, 1).double()
        patches = torch.cat([patches, patches.new_ones(len(patches), 1)], dim=1)
        products += patches.T @ patches
        targets += patches.T @ goal.flatten(2).transpose(1, 2).flatten(0, 1).double()
    ridge = RIDGE * products.diagonal().mean() * torch.eye(columns).double()
    ridge[-1, -1] = 0
    solution = torch.linalg.solve(products + ridge, targets).T
    layer.weight.copy_(solution[:, :-1].reshape(layer.weight.shape))
    _bias(layer).copy_(solution[:, -1])
