from dataclasses import replace

import numpy as np
import pytest
import torch

from model.embedding import MIN_SAMPLES, checked, embed
from model.encoder import EncoderConfig, SiameseEncoder, WaveformEncoder
from model.features import N_HOP_SAMPLES, N_WINDOW_SAMPLES, LogMel, Normalise, n_frames
from training.fusion import fuse_norms
from training.recipe import load_recipe

CONFIGS = {
    "default": load_recipe("default").encoder,
    "seed": load_recipe("seed").encoder,
    "small": EncoderConfig(
        n_mels=24, channels=(4, 8), strides_mel=(2, 2), strides_time=(2, 1), residual=(1, 0), n_hidden=6, n_embedding=10
    ),
}


CONFIGS["two branches"] = replace(
    CONFIGS["small"], n_projected=12, n_embedding=16, n_taught=6, taught_share=0.3, n_branch_blocks=1
)


def noise(n_samples: int, seed: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(n_samples)).astype(np.float32)


@pytest.fixture(params=sorted(CONFIGS))
def encoder(request: pytest.FixtureRequest) -> WaveformEncoder:
    torch.manual_seed(3)
    module = WaveformEncoder(CONFIGS[request.param])
    module.train()  # one pass, so that batch-norm statistics are not the trivial ones
    with torch.no_grad():
        module(torch.from_numpy(np.stack([noise(24_000, s) for s in range(4)])), torch.full((4,), 24_000))
    return module.eval()


def test_a_clip_embeds_alike_alone_twice_and_in_a_padded_batch(encoder: WaveformEncoder) -> None:
    clips = [noise(n, seed) for seed, n in enumerate((400, 5_321, 16_000, 40_111, 23_456))]
    batched = embed(encoder, clips)
    for clip, expected in zip(clips, batched, strict=True):
        alone = embed(encoder, [clip])[0]
        assert np.array_equal(alone, embed(encoder, [clip])[0])
        assert np.abs(alone - expected).max() <= 1e-4


def test_what_lies_behind_a_clips_length_is_not_heard(encoder: WaveformEncoder) -> None:
    clip = noise(20_000, 1)
    lengths = torch.tensor([20_000])
    silence, shout = (np.concatenate([clip, tail]) for tail in (np.zeros(9_000, np.float32), noise(9_000, 2)))
    with torch.inference_mode():
        a, b = (encoder(torch.from_numpy(x).unsqueeze(0), lengths) for x in (silence, shout))
    assert (a - b).abs().max() <= 1e-4


def test_the_shape_and_the_norm_are_those_of_the_configuration() -> None:
    for config in CONFIGS.values():
        embeddings = embed(WaveformEncoder(config).eval(), [noise(16_000, 1)])
        assert embeddings.shape == (1, config.n_embedding)
        assert embeddings.dtype == np.float32
        assert bool(np.isclose(np.linalg.norm(embeddings), 1.0, atol=1e-5)) == config.unit_norm


def test_different_clips_get_different_embeddings(encoder: WaveformEncoder) -> None:
    a, b = embed(encoder, [noise(16_000, 1), noise(16_000, 2)])
    assert np.abs(a - b).max() > 1e-4


def test_the_cosine_is_that_of_both_branches_in_their_shares() -> None:
    config = CONFIGS["two branches"]
    a, b = embed(WaveformEncoder(config).eval(), [noise(16_000, 1), noise(16_000, 2)])
    own, taught = slice(0, config.n_own), slice(config.n_own, None)
    cosines = [a[part] @ b[part] / np.linalg.norm(a[part]) / np.linalg.norm(b[part]) for part in (own, taught)]
    assert a @ b == pytest.approx(0.7 * cosines[0] + 0.3 * cosines[1], abs=1e-5)


def test_norms_folded_into_convolutions_leave_the_embedding(encoder: WaveformEncoder) -> None:
    clips = [noise(20_000, 5), noise(7_000, 6)]
    before = embed(encoder, clips)
    fuse_norms(encoder.encoder)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in encoder.modules())
    assert np.abs(embed(encoder, clips) - before).max() <= 1e-5


def test_silence_has_a_finite_embedding(encoder: WaveformEncoder) -> None:
    assert np.isfinite(embed(encoder, [np.zeros(16_000, np.float32)])).all()


def test_a_clip_below_one_frame_is_refused(encoder: WaveformEncoder) -> None:
    with pytest.raises(ValueError, match=f"{MIN_SAMPLES} are needed"):
        embed(encoder, [noise(MIN_SAMPLES - 1, 1)])


def test_a_pair_is_as_alike_one_way_as_the_other() -> None:
    torch.manual_seed(0)
    encoder = SiameseEncoder(CONFIGS["seed"])
    a, b = torch.randn(2, 5, CONFIGS["seed"].n_embedding)
    assert torch.equal(encoder.similarity_logit(a, b), encoder.similarity_logit(b, a))


@pytest.mark.parametrize("n_samples", [0, 399, 400, 401, 559, 560, 16_000])
def test_frames_are_counted_as_the_front_end_makes_them(n_samples: int) -> None:
    expected = len(range(0, n_samples - N_WINDOW_SAMPLES + 1, N_HOP_SAMPLES))
    assert int(n_frames(torch.tensor([n_samples]))[0]) == expected
    if expected:
        assert LogMel(40)(torch.zeros(1, n_samples)).shape == (1, 40, expected)


def test_a_tone_lands_in_the_mel_bin_of_its_frequency() -> None:
    front_end = LogMel(80)
    centres_hz = (front_end.filters * torch.linspace(0, 8_000, 257)).sum(dim=1) / front_end.filters.sum(dim=1)
    time_s = torch.arange(16_000) / 16_000
    for frequency_hz in (300.0, 1_000.0, 4_000.0):
        log_mel = front_end(torch.sin(2 * torch.pi * frequency_hz * time_s).unsqueeze(0))[0].mean(dim=1)
        found_hz = float(centres_hz[int(log_mel.argmax())])
        assert abs(found_hz - frequency_hz) < 0.06 * frequency_hz


def test_mean_normalisation_removes_a_fixed_channel_and_the_gain() -> None:
    log_mel, lengths = torch.randn(2, 8, 30), torch.tensor([30, 20])
    channel = torch.linspace(-3, 3, 8).view(1, 8, 1)
    normalise = Normalise("mean")
    assert torch.allclose(normalise(log_mel, lengths), normalise(log_mel + channel, lengths), atol=1e-5)


def test_mean_and_deviation_are_those_of_the_real_frames() -> None:
    log_mel, lengths = 5 + 2 * torch.randn(1, 8, 50), torch.tensor([30])
    normalised = Normalise("mean_std")(log_mel, lengths)
    real = normalised[0, :, :30]
    assert abs(float(real.mean())) < 1e-5
    assert abs(float(real.std(unbiased=False)) - 1) < 1e-3
    assert float(normalised[0, :, 30:].abs().max()) == 0


def test_a_configuration_that_does_not_fit_says_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="one entry for each CNN block"):
        EncoderConfig(channels=(8, 8))
    with pytest.raises(ValueError, match="mean, attentive_statistics"):
        EncoderConfig(pooling="last")
    with pytest.raises(ValueError, match="mean, mean_std"):
        Normalise("none")


@pytest.mark.parametrize("n_taught", [-1, 10])
def test_a_taught_part_leaves_room_for_the_rest(n_taught: int) -> None:
    with pytest.raises(ValueError, match="n_taught is a part of n_embedding: at least 0, and less"):
        replace(CONFIGS["small"], n_taught=n_taught)


def test_an_embedding_that_is_not_finite_is_refused() -> None:
    fine = np.array([[0.5, -0.5]], np.float32)
    assert checked(fine) is fine
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="an embedding that is not finite"):
            checked(np.array([[0.5, bad]], np.float32))
