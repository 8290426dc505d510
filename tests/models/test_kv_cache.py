import pytest
import torch

from editar_cli.models.kv_cache import KVCache


def small_cache(length: int = 5) -> KVCache:
    return KVCache(
        layers=2, rows=3, heads=2, length=length, head_dim=4,
        device=torch.device("cpu"), dtype=torch.float32,
    )  # fmt: skip


def test_what_is_put_behind_a_prefix_is_read_with_it():
    cache = small_cache()
    first, second = torch.randn(2, 3, 2, 3, 4), torch.randn(2, 3, 2, 1, 4)
    for layer in range(2):
        window = cache.at(slice(0, 3), slice(0, 3), 3)
        keys, values = window.put(layer, first[layer], -first[layer])
        assert torch.equal(keys, first[layer]) and torch.equal(values, -first[layer])
    for layer in range(2):
        window = cache.at(slice(0, 3), slice(3, 4), 4)
        keys, values = window.put(layer, second[layer], -second[layer])
        both = torch.cat([first[layer], second[layer]], dim=2)
        assert torch.equal(keys, both) and torch.equal(values, -both)


def test_what_is_read_is_a_view_and_no_copy():
    cache = small_cache()
    zeros = torch.zeros(2, 2, 2, 4)
    keys, values = cache.at(slice(0, 2), slice(0, 2), 2).put(1, zeros, zeros)
    keys.fill_(7)
    values.fill_(8)
    assert (cache.keys[1, :2, :, :2] == 7).all() and (cache.values[1, :2, :, :2] == 8).all()
    assert (cache.keys[1, 2] == 0).all() and (cache.keys[0] == 0).all()


def test_each_row_may_have_places_of_its_own():
    cache = small_cache()
    new = torch.randn(2, 2, 2, 4)
    places = torch.tensor([[0, 3], [2, 1]])
    keys, values = cache.at(slice(0, 2), places, 4).put(0, new, 2 * new)
    for row in range(2):
        for position in range(2):
            assert torch.equal(keys[row, :, places[row, position]], new[row, :, position])
            assert torch.equal(values[row, :, places[row, position]], 2 * new[row, :, position])
    assert (keys[0, :, 1:3] == 0).all()


def test_a_row_is_copied_up_to_an_end():
    cache = small_cache()
    cache.keys.copy_(torch.randn(cache.keys.shape))
    before = cache.keys.clone()
    cache.copy(2, 0, 3)
    assert torch.equal(cache.keys[:, 0, :, :3], before[:, 2, :, :3])
    assert torch.equal(cache.keys[:, 0, :, 3:], before[:, 0, :, 3:])
    assert torch.equal(cache.keys[:, 1:], before[:, 1:])


def test_nothing_goes_beyond_the_end():
    cache = small_cache(length=2)
    with pytest.raises(AssertionError, match="3 of 2"):
        cache.at(slice(0, 1), slice(0, 1), 3)
    with pytest.raises(AssertionError, match="beyond"):
        cache.at(slice(0, 1), slice(1, 3), 2)


def test_gpt_xl_in_bfloat16_needs_184320_bytes_per_position():
    cache = KVCache(
        layers=36, rows=1, heads=20, length=1, head_dim=64,
        device=torch.device("meta"), dtype=torch.bfloat16,
    )  # fmt: skip
    assert cache.nbytes == 184_320


def test_a_cache_starts_with_numbers_since_masked_ones_are_multiplied_too():
    cache = small_cache()
    assert (cache.keys == 0).all() and (cache.values == 0).all()
    # Places that nobody looks at may be written by several positions at once.
    new = torch.randn(1, 2, 3, 4)
    cache.at(slice(0, 1), torch.tensor([[1, 4, 4]]), 2).put(0, new, new)
    assert torch.equal(cache.keys[0, 0, :, 1], new[0, :, 0])
    assert cache.keys[0, 0, :, 4].isfinite().all()
