import torch

from editar_cli.conditioning import (
    Dropped,
    image_embeddings,
    null_text_embeddings,
    text_embeddings,
)
from tests.tiny_transformer import tiny_inputs, tiny_transformer


def test_one_draw_decides_on_image_and_text():
    r = torch.tensor([0.0, 0.049, 0.05, 0.099, 0.10, 0.5, 0.95, 0.951, 0.999], dtype=torch.float64)
    dropped = Dropped.from_draw(r)
    assert dropped.image.tolist() == [True] * 4 + [False] * 5
    assert dropped.text.tolist() == [True] * 2 + [False] * 5 + [True] * 2


def test_a_tenth_of_the_samples_loses_each_condition():
    dropped = Dropped.from_draw(torch.linspace(0, 1, 10001, dtype=torch.float64)[:-1])
    assert abs(dropped.image.float().mean() - 0.10) < 1e-3
    assert abs(dropped.text.float().mean() - 0.10) < 1e-3
    assert abs((dropped.image & dropped.text).float().mean() - 0.05) < 1e-3


def test_a_dropped_image_is_the_null_image():
    model = tiny_transformer()
    codes, _ = tiny_inputs(model, 3)
    x = image_embeddings(model, codes, torch.tensor([False, True, False]))
    assert torch.equal(x[1], model.null_image)
    assert torch.equal(x[[0, 2]], model.embed_codes(codes)[[0, 2]])
    assert torch.equal(image_embeddings(model, codes), model.embed_codes(codes))


def test_dropped_text_is_the_null_text_put_through_the_projection():
    model = tiny_transformer()
    _, text = tiny_inputs(model, 3)
    x = text_embeddings(model, text, torch.tensor([True, False, True]))
    torch.testing.assert_close(x[0], model.text_projection(model.null_text))
    assert torch.equal(x[0], x[2])
    torch.testing.assert_close(x[1], text_embeddings(model, text)[1])
    torch.testing.assert_close(null_text_embeddings(model, 2), x[[0, 2]])
