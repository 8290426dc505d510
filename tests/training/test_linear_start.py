import torch
import torch.nn.functional as F

from editar_cli.models.vq import VQConfig, VQTokenizer
from editar_cli.training.linear_start import coarse_features, start
from tests.training.painted_data import painted_photo


def crops(count: int) -> torch.Tensor:
    pictures = torch.stack([torch.tensor(painted_photo(i)[:40, :40]) for i in range(count)])
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def test_a_fresh_tokenizer_gives_back_a_blurred_picture_in_the_right_colours():
    torch.manual_seed(0)
    model = VQTokenizer(
        VQConfig(
            codebook_size=16,
            codebook_dim=8,
            channels=16,
            channel_multipliers=(1, 2, 2),
            res_blocks=1,
            latent_channels=32,
            norm_groups=4,
        )  # fmt: skip
    ).eval()
    seen, unseen = crops(40)[:32], crops(40)[32:]
    start(model, seen)
    with torch.inference_mode():
        output = model.decode_vectors(F.normalize(model.latents(unseen), dim=1))
    blurred = F.avg_pool2d(unseen, 4)
    error = (F.avg_pool2d(output, 4) - blurred).square().mean()
    assert error < 0.1 * blurred.var(), "cell colours are near the truth"


def test_a_cell_is_described_by_its_mean_light_and_colour():
    white = torch.ones(1, 3, 8, 8)
    found = coarse_features(white, 4)
    assert found.shape == (1, 7, 2, 2)
    torch.testing.assert_close(
        found[0, :, 0, 0], torch.tensor([1.0, 0, 0, 0, 0, 0, 0]), atol=1e-6, rtol=0
    )


def test_gradients_of_a_cell_have_their_sign_and_place():
    ramp = torch.linspace(-1, 1, 8).expand(1, 3, 8, 8)
    right, down = coarse_features(ramp, 8)[0, 3:5, 0, 0], coarse_features(ramp.mT, 8)[0, 3:5, 0, 0]
    assert right[0] > 1 and abs(right[1]) < 1e-5
    assert down[1] > 1 and abs(down[0]) < 1e-5
