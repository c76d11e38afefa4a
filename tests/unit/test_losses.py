import pytest
import torch

from model.encoder import EncoderConfig, SiameseEncoder
from training.losses import EmbeddedBatch, contrastive_loss, make_objective
from training.recipe import LossConfig

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
    objective = make_objective(LossConfig(kind="contrastive", head_weight=head_weight), 3, TINY.n_embedding)
    embeddings = encoder(torch.randn(8, TINY.n_mels, 20), torch.full((8,), 20))
    labels = torch.tensor([0, 0, 1, 1, 0, 1, 2, 0])
    return encoder, objective(EmbeddedBatch(encoder, embeddings, labels, 0.0)).loss


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
    objective = make_objective(LossConfig(kind="contrastive", head_weight=1.0), 2, TINY.n_embedding)
    embeddings = torch.ones(4, TINY.n_embedding, requires_grad=True)
    objective(EmbeddedBatch(encoder, embeddings, torch.tensor([0, 0, 0, 1]), 0.0)).loss.backward()
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()


def test_the_margin_and_the_contrastive_term_grow_with_the_run() -> None:
    config = LossConfig(softmax_margin=0.2, margin_ramp=(0.1, 0.5), contrastive_weight=0.5)
    objective = make_objective(config, 4, 6)
    torch.manual_seed(2)
    encoder, embeddings = SiameseEncoder(TINY), torch.randn(8, 6)
    labels = torch.arange(8) // 2
    early, middle, late = (
        objective(EmbeddedBatch(encoder, embeddings, labels, progress)).loss.item() for progress in (0.0, 0.3, 0.9)
    )
    assert early < middle < late


def test_margin_softmax_learns_to_tell_fixed_classes_apart() -> None:
    torch.manual_seed(3)
    objective = make_objective(LossConfig(margin_ramp=(0.0, 0.5), contrastive_weight=0.1), 4, 6)
    embeddings = torch.randn(8, 6, requires_grad=True)
    labels = torch.arange(8) // 2
    optimiser = torch.optim.Adam([embeddings, *objective.parameters()], lr=0.05)
    encoder = SiameseEncoder(TINY)
    for step in range(200):
        result = objective(EmbeddedBatch(encoder, embeddings, labels, step / 200))
        optimiser.zero_grad()
        result.loss.backward()
        optimiser.step()
    assert result.accuracy == 1.0
