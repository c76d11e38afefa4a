from dataclasses import replace

import numpy as np
import pytest
import torch

from training.augment.mel import AugmentConfig, augment
from training.crops import crop_frames
from training.drawing import draw
from training.feature_store import FeatureStore
from training.recipe import Recipe, SamplingConfig
from training.sampling import CropSampler

N_MELS = 4


def one_shard(
    frames: np.ndarray, starts: np.ndarray, labels: np.ndarray, groups: np.ndarray, names: tuple[str, ...]
) -> FeatureStore:
    return FeatureStore((frames,), np.zeros_like(labels), starts[:-1], starts[1:], labels, groups, names)


def store(clips: list[tuple[int, int]]) -> FeatureStore:
    """Clips given as (class, n_frames); a frame holds (class, clip, frame number, 0)."""
    frames, starts = [], [0]
    for number, (label, n_frames) in enumerate(clips):
        frames += [[label, number, t, 0] for t in range(n_frames)]
        starts.append(starts[-1] + n_frames)
    labels = np.array([label for label, _ in clips])
    names = tuple(str(i) for i in range(labels.max() + 1))
    return one_shard(np.array(frames, np.float16), np.array(starts), labels, np.arange(len(clips)), names)


SAMPLER = CropSampler(store([(0, 50), (0, 60), (1, 80), (2, 40), (2, 30), (2, 90)]), seed=5)


def test_pairs_are_balanced_and_labelled_by_what_they_hold() -> None:
    batch = SAMPLER.pairs(0, 64, 20)
    assert batch.log_mels.shape == (128, N_MELS, 20)
    assert np.array_equal(batch.log_mels[:, 0, 0].numpy(), batch.labels.numpy())
    same = (batch.labels[0::2] == batch.labels[1::2]).numpy()
    assert same.sum() == 32


def test_a_speaker_batch_holds_two_crops_of_each() -> None:
    batch = SAMPLER.speakers(0, 3, 2, 20)
    assert np.array_equal(batch.labels[0::2], batch.labels[1::2])
    assert sorted(batch.labels[0::2].tolist()) == [0, 1, 2]
    assert np.array_equal(batch.log_mels[:, 0, 5].numpy(), batch.labels.numpy())


def test_two_crops_of_one_speaker_never_share_a_frame() -> None:
    for step in range(50):
        batch = SAMPLER.speakers(step, 3, 2, 20)
        for pair in range(3):
            a, b = (
                {(int(clip), int(frame)) for clip, frame in batch.log_mels[2 * pair + i, 1:3].T.tolist()}
                for i in (0, 1)
            )
            assert not a & b


def test_more_crops_than_clips_are_cut_from_disjoint_parts() -> None:
    for step in range(20):
        batch = SAMPLER.speakers(step, 3, 5, 4)
        assert np.array_equal(np.unique(batch.labels.numpy(), return_counts=True)[1], [5, 5, 5])
        frames = [{tuple(cell) for cell in crop.T.tolist()} for crop in batch.log_mels[:, 1:3]]
        for first in range(0, 15, 5):
            n_frames = sum(len(crop) for crop in frames[first : first + 5])
            assert len(set().union(*frames[first : first + 5])) == n_frames


def test_versions_of_a_clip_are_one_group_and_all_are_drawn() -> None:
    # Two clips of one speaker in three versions each; a frame holds its entry's number.
    n = 30
    frames = np.repeat(np.arange(6), n)[:, None].astype(np.float16)
    starts, groups = np.arange(7) * n, np.repeat([0, 1], 3)
    sampler = CropSampler(one_shard(frames, starts, np.zeros(6, int), groups, ("0",)), seed=1)
    seen = set()
    for step in range(60):
        batch = sampler.speakers(step, 1, 2, 10)
        entries = batch.log_mels[:, 0, 0].numpy().astype(int)
        assert sorted(batch.groups) == [0, 1]
        assert np.array_equal(entries // 3, batch.groups)
        seen |= set(entries.tolist())
    assert seen == set(range(6))


@pytest.mark.parametrize("n_processes", [2, 4])
@pytest.mark.parametrize("kind", ["pairs", "speakers"])
def test_processes_draw_between_them_what_one_would(kind: str, n_processes: int) -> None:
    recipe = Recipe(
        "shared",
        sampling=SamplingConfig(kind=kind, batch_size=8, clips_per_speaker=3, crop_s=(0.1, 0.2)),
        augment=replace(FULL, noise=0.5, babble=0.5, pause=0.5, mask=0.5),
    )
    whole = draw(recipe, SAMPLER, 7)
    shares = [draw(recipe, CropSampler(SAMPLER.source, 5, rank, n_processes), 7) for rank in range(n_processes)]
    assert len({len(share.labels) for share in shares}) == 1
    assert torch.cat([share.log_mels for share in shares]).equal(whole.log_mels)
    assert torch.cat([share.labels for share in shares]).equal(whole.labels)
    assert np.array_equal(np.concatenate([share.groups for share in shares]), whole.groups)


def test_babble_is_always_somebody_else() -> None:
    rng = np.random.default_rng(1)
    for label in (0, 1, 2):
        heard = {int(SAMPLER.somebody_else(label, 20, rng)[0, 0]) for _ in range(40)}
        assert heard == {0, 1, 2} - {label}


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    again = CropSampler(SAMPLER.source, seed=5)
    assert again.pairs(7, 8, 20).log_mels.equal(SAMPLER.pairs(7, 8, 20).log_mels)
    assert not again.pairs(8, 8, 20).log_mels.equal(SAMPLER.pairs(7, 8, 20).log_mels)


def test_a_short_clip_is_repeated_to_fill_the_crop() -> None:
    clip = np.arange(12, dtype=np.float16).reshape(6, 2)
    crop = crop_frames(clip, 15, np.random.default_rng(1))
    assert crop.shape == (15, 2)
    assert {tuple(row) for row in crop.tolist()} == {tuple(row) for row in clip.tolist()}


FULL = AugmentConfig(
    noise=1.0,
    babble=1.0,
    reverberation=1.0,
    channel=1.0,
    band_limit=1.0,
    pause=1.0,
    gain_db=6.0,
    mask=1.0,
    mask_n_mels=2,
)


def crop(seed: int = 1, n_mels: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).normal(-5.0, 2.0, (n_mels, 80)).clip(min=-9.0).astype(np.float32)


def augmented(x: np.ndarray, config: AugmentConfig, seed: int = 2) -> np.ndarray:
    kept = x.copy()
    changed = augment(x, config, np.random.default_rng(seed), lambda rng: crop(int(rng.integers(100))))
    assert np.array_equal(x, kept), "what it was given belongs to the caller"
    return changed


@pytest.mark.parametrize(
    "name", ["noise", "babble", "reverberation", "channel", "band_limit", "pause", "gain_db", "mask"]
)
def test_each_effect_changes_the_crop_and_keeps_it_finite(name: str) -> None:
    x = crop()
    y = augmented(x, AugmentConfig(**{name: 6.0 if name == "gain_db" else 1.0}))
    assert (y.shape, y.dtype) == (x.shape, np.float32)
    assert np.isfinite(y).all()
    assert np.abs(y - x).max() > 0.1


def test_no_effect_leaves_the_crop_alone() -> None:
    x = crop()
    assert np.allclose(augmented(x, AugmentConfig()), x, atol=0.02)  # the floor is added once more


def test_augmentation_repeats_with_its_generator() -> None:
    a, b, c = (augmented(crop(), FULL, seed) for seed in (3, 3, 4))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_no_strength_is_no_augmentation_but_for_the_gain() -> None:
    x = crop()
    changed = augment(x, replace(FULL, gain_db=0.0), np.random.default_rng(2), lambda _: x, 0.0)
    assert np.allclose(changed, x, atol=0.02)


@pytest.mark.parametrize("name", ["noise", "babble"])
def test_what_is_added_is_as_loud_as_asked(name: str) -> None:
    x = crop()
    noisy = augmented(x, AugmentConfig(**{name: 1.0, f"{name}_snr_db": (10.0, 10.0)}))
    added = (np.exp(noisy) - np.exp(x)).mean()
    assert 10 * np.log10(np.exp(x).mean() / added) == pytest.approx(10.0, abs=0.1)


def test_a_pause_is_made_of_the_crops_quietest_frames() -> None:
    x = crop()
    x[:, :8] = -8.5  # the quietest tenth of 80 frames
    paused = augmented(x, AugmentConfig(pause=1.0, pause_fraction=(0.5, 0.5)))
    is_quiet = np.abs(paused - -8.5).max(axis=0) < 0.01
    # Half the frames, and those of the eight that were not overwritten.
    assert 40 <= is_quiet.sum() <= 48
    assert np.allclose(paused[:, ~is_quiet], x[:, ~is_quiet], atol=0.01)
