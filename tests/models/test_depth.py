import pytest
import torch

from editar_cli.models.depth import DepthConfig, DepthNetwork

TINY = DepthConfig(image_size=16, widths=(8, 12, 16))


def tiny_network(config: DepthConfig = TINY) -> DepthNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DepthNetwork(config).eval()


def pictures(count: int, height: int, width: int) -> torch.Tensor:
    noise = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, height, width, generator=noise) * 2 - 1


@pytest.mark.parametrize("size", [(16, 16), (4, 4), (24, 8)])
def test_nearness_has_the_pictures_size_and_lies_between_0_and_1(size: tuple[int, int]):
    with torch.inference_mode():
        near = tiny_network()(pictures(2, *size))
    assert near.shape == (2, 1, *size) and near.dtype == torch.float32
    assert near.min() > 0 and near.max() < 1


def test_the_default_shape_takes_two_megabytes_in_half_precision():
    count = sum(p.numel() for p in DepthNetwork(DepthConfig()).parameters())
    assert count == 1_053_521


def test_the_pictures_of_a_batch_do_not_see_each_other():
    network, both = tiny_network(), pictures(2, 16, 16)
    with torch.inference_mode():
        together = network(both)
        alone = torch.cat([network(picture[None]) for picture in both])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_the_network_knows_top_from_bottom_and_left_from_right():
    network, plain = tiny_network(), torch.zeros(1, 3, 16, 16)
    with torch.inference_mode():
        near = network(plain)[0, 0]
    middle = near[4:12, 4:12]
    assert (middle.std(0) > 1e-5).all() and (middle.std(1) > 1e-5).all()


def test_every_weight_takes_part():
    network = tiny_network()
    (network(pictures(2, 16, 16)) * pictures(2, 16, 16)[:, :1]).sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_half_precision_under_autocast_still_gives_float32():
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        near = tiny_network()(pictures(1, 16, 16))
    assert near.dtype == torch.float32


@pytest.mark.parametrize(
    "changes",
    [
        {"widths": (16,)},
        {"widths": (4, 8)},
        {"widths": (8, 10)},
        {"image_size": 30},
        {"image_size": 0},
    ],
    ids=str,
)
def test_sizes_that_do_not_fit_together_are_refused(changes: dict):
    with pytest.raises(ValueError, match="sizes do not fit together"):
        DepthConfig(**{"image_size": 16, "widths": (8, 12, 16), **changes})


def test_widths_read_from_a_file_become_a_tuple():
    assert DepthConfig(image_size=16, widths=[8, 12, 16]) == TINY
