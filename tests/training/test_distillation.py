from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from editar_cli.errors import TrainingError
from editar_cli.training.distillation import Teacher, distillation_mse
from tests.training.teachers import write_teacher


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher(tmp_path_factory.mktemp("teacher") / "vit.pth", "test_vit")


@pytest.fixture(scope="module")
def teacher(weights: Path) -> Teacher:
    return Teacher("test_vit", weights)


def picture(side: int, batch: int = 1) -> torch.Tensor:
    coarse = torch.rand(batch, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    return F.interpolate(coarse, size=(side, side), mode="bilinear") * 2 - 1


def test_a_vision_transformer_gives_its_patches_as_a_map(teacher: Teacher):
    features = teacher(picture(64, batch=2))
    assert features.shape == (2, teacher.dim, 14, 14)


def test_features_are_those_of_the_stored_network_on_normalised_pixels(teacher: Teacher):
    # At 256 px the published resizing changes nothing, and the crop takes the middle 224.
    image = picture(256)
    middle = ((image + 1) / 2)[..., 16:240, 16:240]
    mean, std = (
        torch.tensor(teacher.network.pretrained_cfg[k])[:, None, None] for k in ("mean", "std")
    )
    with torch.no_grad():
        tokens = teacher.network.forward_features((middle - mean) / std)
    patches = tokens[:, teacher.network.num_prefix_tokens :]
    torch.testing.assert_close(
        teacher(image).flatten(2).transpose(1, 2), patches, atol=1e-4, rtol=1e-4
    )


def test_the_margin_is_cropped_away(teacher: Teacher):
    image = picture(256)
    framed = image.clone()
    framed[..., :8, :] = 1.0
    framed[..., -8:] = -1.0
    torch.testing.assert_close(teacher(framed), teacher(image))


def test_a_change_is_seen_where_it_is(teacher: Teacher):
    image = picture(224)
    changed = image.clone()
    changed[..., 130:180, 40:90] *= -1
    difference = (teacher(changed) - teacher(image)).norm(dim=1)[0]
    row, column = divmod(int(difference.argmax()), 14)
    assert 7 <= row <= 11 and 2 <= column <= 6


def test_a_convolutional_teacher_works_too(tmp_path: Path):
    network = Teacher("test_resnet", write_teacher(tmp_path / "net.pth", "test_resnet"))
    assert network(picture(64)).shape == (1, network.dim, 7, 7)


def test_a_teacher_is_frozen(teacher: Teacher):
    assert not teacher.network.training
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher(picture(64).requires_grad_()).requires_grad


def test_an_unknown_teacher_is_an_error_for_people():
    with pytest.raises(TrainingError, match=r"teacher no_such_net: cannot be loaded .* as a file"):
        Teacher("no_such_net")


def test_a_damaged_weight_file_is_an_error_for_people(tmp_path: Path):
    file = tmp_path / "weights.pth"
    file.write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="teacher test_vit: cannot be loaded"):
        Teacher("test_vit", file)


def test_the_loss_is_the_mean_over_all_elements():
    a, b = torch.randn(2, 2, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(distillation_mse(a, b), (a - b).square().mean())


def test_another_grid_is_resized_to_the_teachers():
    noise = torch.Generator().manual_seed(0)
    features = torch.randn(1, 5, 8, 8, generator=noise, requires_grad=True)
    teacher = torch.randn(1, 5, 16, 16, generator=noise)
    resized = F.interpolate(features, (16, 16), mode="bilinear", antialias=True)
    loss = distillation_mse(features, teacher)
    torch.testing.assert_close(loss, (resized - teacher).square().mean())
    loss.backward()
    assert features.grad is not None and features.grad.abs().min() > 0
