import torch

from editar_cli.conditioning import (
    Dropped,
    branch_mask,
    image_embeddings,
    null_text_embeddings,
    text_embeddings,
    text_mask,
)
from tests.tiny_transformer import tiny_inputs, tiny_transformer

CPU = torch.device("cpu")


def pattern(mask: torch.Tensor) -> list[str]:
    return ["".join("x" if seen else "." for seen in row) for row in mask.tolist()]


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


def test_the_text_of_each_branch_sees_the_image_and_itself():
    assert pattern(text_mask(2, 3, 2, CPU)) == [
        "xxx.....",
        "xxxx....",
        "xxxxx...",
        "xx...x..",
        "xx...xx.",
        "xx...xxx",
    ]
    assert pattern(text_mask(2, 3, 1, CPU)) == ["xxx..", "xxxx.", "xxxxx"]


def test_branches_share_the_image_and_nothing_else():
    # three of the image | two of the text | two of the null text | c0 u0 c1 u1 | c2
    assert pattern(branch_mask(3, 2, 2, CPU)) == [
        "xxxxx..x.x.x",
        "xxx..xx.x.x.",
    ]
    assert pattern(branch_mask(2, 1, 0, CPU)) == ["xxx.xx", "xx.x.."]
