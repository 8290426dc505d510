import math

import pytest
import torch

from editar_cli.training.losses import code_cross_entropy, pixel_loss


def test_equal_logits_cost_the_logarithm_of_the_vocabulary():
    loss = code_cross_entropy(torch.zeros(2, 3, 50), torch.randint(50, (2, 3)))
    assert loss.item() == pytest.approx(math.log(50))


def test_the_loss_is_the_mean_over_all_codes_of_the_batch():
    logits = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[0, 1, 2], [3, 4, 6]])
    picked = logits.log_softmax(-1).gather(-1, targets[..., None])
    torch.testing.assert_close(code_cross_entropy(logits, targets), -picked.mean())


def test_weights_make_a_weighted_mean():
    logits = torch.randn(1, 3, 7, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[0, 1, 2]])
    each = [code_cross_entropy(logits[:, i : i + 1], targets[:, i : i + 1]) for i in range(3)]
    weighted = code_cross_entropy(logits, targets, torch.tensor([[1.0, 0.0, 3.0]]))
    torch.testing.assert_close(weighted, (each[0] + 3 * each[2]) / 4)
    torch.testing.assert_close(
        code_cross_entropy(logits, targets, torch.full((1, 3), 5.0)), sum(each) / 3
    )


def test_bfloat16_logits_are_summed_in_float32():
    assert code_cross_entropy(torch.zeros(1, 2, 9).bfloat16(), torch.zeros(1, 2).long()).dtype == (
        torch.float32
    )


def offset(red: float, green: float, blue: float) -> tuple[torch.Tensor, torch.Tensor]:
    target = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return target + torch.tensor([red, green, blue])[:, None, None], target


def test_equal_pictures_cost_nothing():
    same, target = offset(0, 0, 0)
    assert pixel_loss(same, target, gradient=1.0, colour=2.0) == 0


def test_a_lighter_picture_costs_pixels_and_light():
    output, target = offset(0.1, 0.1, 0.1)
    found = pixel_loss(output, target, gradient=5.0, colour=2.0)
    assert found.item() == pytest.approx(0.1 + 2.0 * 0.1, rel=1e-4)


def test_a_colour_cast_costs_more_than_its_pixels():
    output, target = offset(0.3, 0.0, 0.0)
    pixels, light, chroma = 0.1, 0.299 * 0.3, (0.7 + 0.4) / 2 * 0.3
    found = pixel_loss(output, target, gradient=5.0, colour=2.0)
    assert found.item() == pytest.approx(pixels + 2.0 * (light + 2.0 * chroma), rel=1e-4)


def test_a_shifted_texture_costs_gradients():
    stripes = torch.zeros(1, 3, 16, 16)
    stripes[..., ::2] = 1.0
    found = pixel_loss(1 - stripes, stripes, gradient=1.0, colour=0.0)
    assert found.item() == pytest.approx(1.0 + 2.0)
