import torch

from editar_cli.models.vq import VQConfig, VQTokenizer
from editar_cli.training.linear_start import CONSTANT, coarse_features, start
from tests.training.painted_data import painted_photo


def crops(count: int) -> torch.Tensor:
    pictures = torch.stack([torch.tensor(painted_photo(i)[:40, :40]) for i in range(count)])
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def test_the_latents_of_a_fresh_tokenizer_tell_light_and_colour():
    config = VQConfig(
        codebook_size=16,
        codebook_dim=8,
        channels=16,
        channel_multipliers=(1, 2, 2),
        res_blocks=1,
        latent_channels=32,
        norm_groups=4,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VQTokenizer(config).eval()
        start(model, crops(96)[:64])
    unseen = crops(96)[64:]
    with torch.inference_mode():
        latents = model.latents(unseen)
    wanted = coarse_features(unseen, 4)
    for i in range(3):
        pair = torch.stack([latents[:, i + 1].flatten(), wanted[:, i].flatten()])
        assert torch.corrcoef(pair)[0, 1] > 0.5
    assert (latents[:, 0] - CONSTANT).abs().mean() < 0.1 * CONSTANT, "the first one stands still"


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
