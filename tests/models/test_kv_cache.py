import pytest
import torch

from editar_cli.models.kv_cache import KVCache


def small_cache(length: int = 5) -> KVCache:
    return KVCache(
        layers=2, batch=3, heads=2, length=length, head_dim=4,
        device=torch.device("cpu"), dtype=torch.float32,
    )  # fmt: skip


def test_all_layers_append_behind_the_same_prefix():
    cache = small_cache()
    first = torch.randn(2, 3, 2, 3, 4)
    second = torch.randn(2, 3, 2, 1, 4)
    for layer in range(2):
        keys, values = cache.append(layer, first[layer], -first[layer])
        assert torch.equal(keys, first[layer]) and torch.equal(values, -first[layer])
    cache.advance(3)
    for layer in range(2):
        keys, values = cache.append(layer, second[layer], -second[layer])
        both = torch.cat([first[layer], second[layer]], dim=2)
        assert torch.equal(keys, both) and torch.equal(values, -both)
    cache.advance(1)
    assert cache.used == 4


def test_what_is_read_is_a_view_and_no_copy():
    cache = small_cache()
    keys, values = cache.append(1, torch.zeros(3, 2, 2, 4), torch.zeros(3, 2, 2, 4))
    keys.fill_(7)
    values.fill_(8)
    assert (cache.keys[1, :, :, :2] == 7).all() and (cache.values[1, :, :, :2] == 8).all()


def test_appending_again_without_advancing_overwrites():
    cache = small_cache()
    cache.append(0, torch.ones(3, 2, 2, 4), torch.ones(3, 2, 2, 4))
    keys, _ = cache.append(0, torch.zeros(3, 2, 1, 4), torch.zeros(3, 2, 1, 4))
    assert keys.shape[2] == 1 and (keys == 0).all()


def test_a_full_cache_takes_no_more():
    cache = small_cache(length=2)
    cache.advance(2)
    with pytest.raises(AssertionError):
        cache.advance(1)
    with pytest.raises(RuntimeError):
        cache.append(0, torch.ones(3, 2, 2, 4), torch.ones(3, 2, 2, 4))


def test_gpt_xl_in_bfloat16_needs_184320_bytes_per_position():
    cache = KVCache(
        layers=36, batch=1, heads=20, length=1, head_dim=64,
        device=torch.device("meta"), dtype=torch.bfloat16,
    )  # fmt: skip
    assert cache.nbytes == 184_320
