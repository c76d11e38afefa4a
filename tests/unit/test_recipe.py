from pathlib import Path

import pytest

from model.errors import InvalidArgument
from training.recipe import load_recipe


def test_the_seed_recipe_is_the_articles() -> None:
    recipe = load_recipe("seed")
    encoder = recipe.encoder
    assert (len(encoder.channels), encoder.normalisation, encoder.pooling) == (4, "mean_std", "mean")
    assert encoder.pair_head
    assert not encoder.unit_norm
    assert (recipe.sampling.kind, recipe.sampling.batch_size, recipe.epochs) == ("pairs", 64, 50)
    assert (recipe.loss.kind, recipe.loss.contrastive_margin, recipe.loss.head_weight) == ("contrastive", 1.0, 1.0)
    optimiser = recipe.optimiser
    assert (optimiser.kind, optimiser.learning_rate, optimiser.schedule) == ("adam", 0.001, "step")


def test_the_default_recipe_keeps_a_contrastive_term() -> None:
    recipe = load_recipe("default")
    assert recipe.loss.contrastive_weight > 0
    assert len(recipe.data.voices) > 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "unknown recipe key epoch; known are .*epochs"),
        ("[loss]\nmargin = 3", "unknown recipe key loss.margin"),
        ("epochs = 'many'", "recipe key epochs is of type int; got 'many'"),
        ("epochs = 2.5", "recipe key epochs is of type int"),
        ("precision = 'int4'", "one of float32, bfloat16; got 'int4'"),
        ("[sampling]\ncrop_s = [1.0]", "sampling.crop_s has 2 entries; got 1"),
        ("[encoder]\nchannels = [8]", "one entry for each CNN block"),
        ("[loss]\nkind = 'contrastive'", "needs pairs of different speakers"),
        ("[loss]\nhead_weight = 1.0", "encoder.pair_head has switched off"),
        ("[loss]\nkind = 'ge2e'\n[sampling]\nclips_per_speaker = 1", "several crops each"),
        ("[distill]\nteacher = 'bundles/x'", "both distill.teacher and a positive distill.weight"),
        ("[data]\nvoices = [{speed = 1.1}]", "begins with the clip's own voice"),
        ("[data]\nvoices = [1.0]", "data.voices is a table"),
        ("[render]\nn_versions = 0", "n_versions and n_rooms are at least 1"),
        ("[data]\nmax_clips_per_speaker = -1", "a number of clips, or 0"),
        ("[encoder]\nn_taught = 64", "a branch that a teacher trains"),
        ("[encoder]\nn_taught = 192", "n_taught is a part of n_embedding"),
        ("[encoder]\nn_taught = 64\nunit_norm = false", "needs unit_norm"),
        ("[encoder]\nn_taught = 64\npair_head = true", "do not go together"),
        ("[encoder]\nn_taught = 64\nn_branch_blocks = 5", "leaves at least one CNN block"),
        ("[encoder]\ntaught_share = 1.0", "between 0 and 1"),
        ("[encoder]\nn_projected = -1", "n_projected may be 0"),
        ("loss = 3", "recipe key loss is a table"),
        ("[loss\n", "not valid TOML"),
    ],
)
def test_a_wrong_recipe_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InvalidArgument, match=message):
        load_recipe(str(path))


def test_a_recipe_is_named_after_its_file_and_whole_numbers_do_for_fractions(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[optimiser]\nlearning_rate = 1")
    assert (load_recipe(str(path)).name, load_recipe(str(path)).optimiser.learning_rate) == ("mine", 1.0)


def test_an_unknown_recipe_lists_those_that_ship() -> None:
    with pytest.raises(InvalidArgument, match="one of default, plain, seed"):
        load_recipe("best")
