import math

import pytest
import torch

from model.encoder import EncoderConfig, SiameseEncoder
from training.losses import EmbeddedBatch, contrastive_loss, make_objective
from training.recipe import LossConfig
from training.schedule import StepSettings

TINY = EncoderConfig(
    n_mels=16,
    channels=(4,),
    strides_mel=(2,),
    strides_time=(2,),
    residual=(0,),
    n_hidden=4,
    pooling="mean",
    n_embedding=6,
    unit_norm=False,
    pair_head=True,
)

EARLY = StepSettings((2.0, 2.0), softmax_margin=0.0, contrastive_weight=0.0, augment_strength=1.0)
LATE = StepSettings((2.0, 2.0), softmax_margin=0.2, contrastive_weight=0.5, augment_strength=1.0)


def test_contrastive_loss_by_hand() -> None:
    # Same at distance 2 costs 4; different at 0.25 costs 0.75²; different beyond the margin costs nothing.
    distances, same = torch.tensor([2.0, 0.25, 1.5]), torch.tensor([True, False, False])
    assert float(contrastive_loss(distances, same, 1.0)) == pytest.approx((4.0 + 0.5625 + 0.0) / 3)


def test_same_pairs_are_pulled_together_and_different_ones_pushed_apart() -> None:
    # The code published with the article has these two the wrong way round.
    for same, expected_sign in ((True, 1.0), (False, -1.0)):
        distance = torch.tensor([0.5], requires_grad=True)
        contrastive_loss(distance, torch.tensor([same]), 1.0).backward()
        assert distance.grad is not None
        assert torch.sign(distance.grad)[0] == expected_sign


def seed_batch(head_weight: float) -> tuple[SiameseEncoder, torch.Tensor]:
    torch.manual_seed(1)
    encoder = SiameseEncoder(TINY)
    objective = make_objective(LossConfig(kind="contrastive", head_weight=head_weight), 3, TINY.n_embedding, 2)
    embeddings = encoder(torch.randn(8, TINY.n_mels, 20), torch.full((8,), 20))
    labels = torch.tensor([0, 0, 1, 1, 0, 1, 2, 0])
    return encoder, objective(EmbeddedBatch(encoder, embeddings, labels, EARLY)).loss


def test_the_pair_heads_weights_move_only_by_its_cross_entropy() -> None:
    encoder, loss = seed_batch(head_weight=1.0)
    before = encoder.pair_head.weight.detach().clone()
    optimiser = torch.optim.Adam(encoder.parameters(), lr=0.001)
    loss.backward()
    optimiser.step()
    assert float((encoder.pair_head.weight.detach() - before).abs().min()) > 1e-5

    encoder, loss = seed_batch(head_weight=0.0)
    loss.backward()
    assert encoder.pair_head.weight.grad is None


def test_identical_embeddings_have_a_finite_gradient() -> None:
    torch.manual_seed(1)
    encoder = SiameseEncoder(TINY)
    objective = make_objective(LossConfig(kind="contrastive", head_weight=1.0), 2, TINY.n_embedding, 2)
    embeddings = torch.ones(4, TINY.n_embedding, requires_grad=True)
    objective(EmbeddedBatch(encoder, embeddings, torch.tensor([0, 0, 0, 1]), EARLY)).loss.backward()
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()


@pytest.mark.parametrize("kind", ["cosine", "angular"])
def test_the_margin_and_the_contrastive_term_make_the_task_harder(kind: str) -> None:
    objective = make_objective(LossConfig(softmax_kind=kind), 4, 6, 2)
    torch.manual_seed(2)
    encoder, embeddings = SiameseEncoder(TINY), torch.randn(8, 6)
    labels = torch.arange(8) // 2
    early, late = (objective(EmbeddedBatch(encoder, embeddings, labels, at)).loss.item() for at in (EARLY, LATE))
    assert early < late


def test_an_angular_margin_is_in_radians() -> None:
    # A crop on its class vector, the other class at a right angle: logits 10 cos(0.3) and 0.
    objective = make_objective(LossConfig(softmax_kind="angular", softmax_scale=10.0), 2, 2, 2)
    with torch.no_grad():
        objective.softmax.W.copy_(torch.eye(2))
    at = StepSettings((2.0, 2.0), softmax_margin=0.3, contrastive_weight=0.0, augment_strength=1.0)
    loss = objective(EmbeddedBatch(SiameseEncoder(TINY), torch.tensor([[1.0, 0.0]]), torch.tensor([0]), at)).loss
    # The library keeps cosines 1e-6 or so inside [-1, 1].
    assert loss.item() == pytest.approx(math.log1p(math.exp(-10 * math.cos(0.3))), rel=0.02)


@pytest.mark.parametrize(
    "config",
    [LossConfig(), LossConfig(softmax_kind="angular"), LossConfig(kind="prototypical"), LossConfig(kind="ge2e")],
    ids=["cosine", "angular", "prototypical", "ge2e"],
)
def test_every_loss_learns_to_tell_fixed_classes_apart(config: LossConfig) -> None:
    torch.manual_seed(3)
    objective = make_objective(config, 4, 6, 3)
    embeddings = torch.randn(12, 6, requires_grad=True)
    labels = torch.arange(12) // 3
    optimiser = torch.optim.Adam([embeddings, *objective.parameters()], lr=0.05)
    encoder = SiameseEncoder(TINY)
    for step in range(200):
        result = objective(EmbeddedBatch(encoder, embeddings, labels, EARLY if step < 100 else LATE))
        optimiser.zero_grad()
        result.loss.backward()
        optimiser.step()
    assert result.accuracy == 1.0


def test_prototypical_loss_by_hand() -> None:
    # Two speakers, two crops: the second crop of each against the first. Cosines 1 and 0; logits 10 - 5 and 0 - 5.
    objective = make_objective(LossConfig(kind="prototypical"), 0, 2, 2)
    embeddings = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, 1.0]])
    found = objective(EmbeddedBatch(SiameseEncoder(TINY), embeddings, torch.tensor([0, 0, 1, 1]), EARLY))
    assert found.loss.item() == pytest.approx(math.log1p(math.exp(-10.0)), rel=1e-2)


def test_ge2e_takes_a_crops_own_centroid_without_it() -> None:
    # Speaker 0's two crops stand at right angles: each sees its own centroid at cosine 0, not at cos 45°, and the other
    # speaker's, which lies on the first crop, at cosine 1 or 0.
    objective = make_objective(LossConfig(kind="ge2e"), 0, 2, 2)
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    found = objective(EmbeddedBatch(SiameseEncoder(TINY), embeddings, torch.tensor([0, 0, 1, 1]), EARLY))
    diagonal = math.sqrt(0.5)
    expected = (math.log1p(math.exp(10.0)) + math.log(2.0) + 2 * math.log1p(math.exp(10.0 * diagonal - 10.0))) / 4
    assert found.loss.item() == pytest.approx(expected, rel=1e-4)
