"""What several processes need of each other in a step; two of them train in tests/e2e/test_training_processes.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from model.errors import InvalidArgument
from training.devices import Place
from training.whole_batch import WholeBatchNorm, norm_over_all, require_even_shares

CPU = torch.device("cpu")


@pytest.fixture
def group_of_one(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize(
    ("norm", "shape"), [(nn.BatchNorm1d(5), (6, 5)), (nn.BatchNorm2d(5), (6, 5, 3, 4))], ids=["1d", "2d"]
)
def test_the_norm_is_torchs_own(group_of_one: None, norm: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    theirs, ours = nn.Sequential(norm), nn.Sequential(norm)
    norm_over_all(ours, Place(CPU, 0, 2))
    assert isinstance(ours[0], WholeBatchNorm)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    x = 3 * torch.randn(shape) + 5
    for _ in range(3):
        inputs = [x.clone().requires_grad_() for _ in range(2)]
        outputs = [module(given) for module, given in zip((ours, theirs), inputs, strict=True)]
        assert torch.allclose(*outputs, atol=1e-4)
        weight = torch.randn(shape)
        for output in outputs:
            (output.square() * weight).sum().backward()
        assert torch.allclose(*(given.grad for given in inputs), atol=1e-4)
    for name, value in theirs.state_dict().items():
        assert torch.allclose(ours.state_dict()[name].float(), value.float(), rtol=1e-5), name
    assert torch.allclose(ours[0].weight.grad, theirs[0].weight.grad, rtol=1e-4)
    ours.eval()
    theirs.eval()
    assert torch.allclose(ours(x), theirs(x), atol=1e-5)


def test_one_process_keeps_the_norms_that_it_has() -> None:
    module = nn.Sequential(nn.BatchNorm1d(5))
    norm_over_all(module, Place(CPU))
    assert type(module[0]) is nn.BatchNorm1d


def test_a_batch_is_shared_evenly_or_not_at_all() -> None:
    require_even_shares(48, Place(CPU, 0, 4))
    with pytest.raises(
        InvalidArgument, match="5 processes cannot share a batch of 48 evenly; start a number that divides"
    ):
        require_even_shares(48, Place(CPU, 0, 5))
