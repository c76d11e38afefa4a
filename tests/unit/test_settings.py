"""Settings: their defaults are the contract's, and whatever is wrong stops the start with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.errors import SettingsError
from app.settings import DEFAULT_BUNDLE, Settings, is_loopback, load_settings, usable_cores, variable


def test_defaults_are_the_contract_s() -> None:
    settings = load_settings({})
    assert (settings.host, settings.port, settings.data_dir) == ("127.0.0.1", 8000, Path("data"))
    assert (settings.bundle, settings.bundle_sha256) == (Path("bundles/default"), None)
    assert (settings.device, settings.engine) == ("auto", "auto")
    assert (settings.max_audio_s, settings.max_upload_mb) == (120, 25)
    assert settings.max_upload_bytes == 25 * 1024 * 1024
    assert settings.workers == usable_cores() >= 1
    assert (settings.min_speech_s, settings.enroll_min_speech_s) == (1, 5)
    assert (settings.operating_point, settings.prior) == ("eer", 0.5)
    assert (settings.min_snr_db, settings.identify_margin, settings.enroll_min_llr) == (3, 2, -2)
    assert not settings.allow_keyless
    assert not settings.embeddings_enabled


def test_values_come_from_the_environment() -> None:
    settings = load_settings(
        {"VOUCH_PORT": " 9000 ", "VOUCH_EMBEDDINGS_ENABLED": "1", "VOUCH_PRIOR": "0.01", "HOME": "x"}
    )
    assert (settings.port, settings.embeddings_enabled, settings.prior) == (9000, True, 0.01)


def test_an_empty_value_counts_as_unset() -> None:
    assert load_settings({"VOUCH_PORT": "", "VOUCH_DATABASE_URL": " "}) == load_settings({})


def test_built_directly_no_environment_reaches_it() -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"VOUCH_PORT": "9000"})


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load_settings({}).port = 1  # type: ignore[misc]  # which is what is tested


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("VOUCH_MAX_UPLOAD", "Did you mean VOUCH_MAX_UPLOAD_MB?"),
        ("VOUCH_OPERATNG_POINT", "Did you mean VOUCH_OPERATING_POINT?"),
        ("VOUCH_XYZZY_PLUGH", "The settings are: VOUCH_HOST, VOUCH_PORT"),
    ],
)
def test_an_unknown_name_is_refused_with_the_one_meant(name: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: "1"})
    assert str(caught.value).startswith(f"{name} is no setting of this service. {hint}")


@pytest.mark.parametrize(
    ("environ", "start"),
    [
        ({"VOUCH_PORT": "tcp://10.0.0.7:8000"}, "VOUCH_PORT is 'tcp://10.0.0.7:8000', which is no port number."),
        (
            {"VOUCH_PORT": "tcp://10.0.0.7:80", "VOUCH_PORT_80_TCP": "tcp://10.0.0.7:80", "VOUCH_SERVICE_PORT": "80"},
            "VOUCH_PORT is 'tcp://10.0.0.7:80'",
        ),
        ({"VOUCH_PORT": "8000", "VOUCH_PORT_8000_TCP_ADDR": "10.0.0.7"}, "VOUCH_PORT_8000_TCP_ADDR is no setting"),
        ({"VOUCH_SERVICE_HOST": "10.0.0.7"}, "VOUCH_SERVICE_HOST is no setting"),
        ({"VOUCH_SERVICE_PORT_HTTP": "80"}, "VOUCH_SERVICE_PORT_HTTP is no setting"),
    ],
)
def test_what_kubernetes_sets_beside_a_service_is_refused_with_the_way_out(environ: dict[str, str], start: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    assert str(caught.value).startswith(start)
    assert "`enableServiceLinks: false`" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VOUCH_PORT", "http"),
        ("VOUCH_PORT", "65536"),
        ("VOUCH_DEVICE", "gpu"),
        ("VOUCH_DEVICE", "cuda:"),
        ("VOUCH_ENGINE", "onnx"),
        ("VOUCH_BUNDLE_SHA256", "abc"),
        ("VOUCH_PRIOR", "0"),
        ("VOUCH_PRIOR", "1"),
        ("VOUCH_PRIOR", "nan"),
        ("VOUCH_MAX_AUDIO_S", "inf"),
        ("VOUCH_MAX_UPLOAD_MB", "0"),
        ("VOUCH_WORKERS", "0"),
        ("VOUCH_QUEUE_SIZE", "-1"),
        ("VOUCH_MIN_SPEECH_S", "nan"),
        ("VOUCH_IDENTIFY_MARGIN", "-0.1"),
        ("VOUCH_ENROLL_MIN_LLR", "-inf"),
        ("VOUCH_ALLOW_KEYLESS", "perhaps"),
        ("VOUCH_LOG_LEVEL", "loud"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value})
    assert str(caught.value).startswith(f"{name} is {value!r}: ")


@pytest.mark.parametrize(
    ("environ", "both"),
    [
        ({"VOUCH_ENROLL_MIN_SPEECH_S": "0.5"}, ("VOUCH_ENROLL_MIN_SPEECH_S is 0.5", "VOUCH_MIN_SPEECH_S, which is 1")),
        ({"VOUCH_MAX_AUDIO_S": "0.5"}, ("VOUCH_MAX_AUDIO_S is 0.5", "VOUCH_MIN_SPEECH_S, which is 1")),
        ({"VOUCH_UPLOAD_MEMORY_MB": "49"}, ("VOUCH_UPLOAD_MEMORY_MB is 49", "VOUCH_MAX_UPLOAD_MB, which is 25")),
        ({"VOUCH_MASTER_KEY": "k", "VOUCH_MASTER_KEY_FILE": "f"}, ("VOUCH_MASTER_KEY and", "are both set; set one")),
    ],
)
def test_settings_that_contradict_each_other_are_refused(environ: dict[str, str], both: tuple[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    assert all(part in str(caught.value) for part in both)


def test_what_a_caller_of_a_service_sets_may_stand_beside_its_settings() -> None:
    assert load_settings({"VOUCH_API_KEY": "vouch_1_2", "VOUCH_URL": "http://localhost:8000"}) == load_settings({})


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1", "127.1.2.3", "::1", "[::1]"])
def test_loopback_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example", ""])
def test_names_beyond_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_the_store_is_sqlite_in_the_data_directory_unless_named() -> None:
    settings = load_settings({"VOUCH_DATA_DIR": "/somewhere/data"})
    assert settings.store_url == "sqlite:////somewhere/data/vouch.db"
    assert load_settings({"VOUCH_DATABASE_URL": "postgresql://x/y"}).store_url == "postgresql://x/y"


def test_the_default_bundle_is_found_in_the_working_directory_or_beside_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings({}).bundle_path == Path(__file__).resolve().parents[2] / "bundles" / "default"
    (tmp_path / DEFAULT_BUNDLE).mkdir(parents=True)
    assert load_settings({}).bundle_path == DEFAULT_BUNDLE
    assert load_settings({"VOUCH_BUNDLE": "elsewhere"}).bundle_path == Path("elsewhere")


def test_a_pin_is_taken_in_either_case() -> None:
    assert load_settings({"VOUCH_BUNDLE_SHA256": "AB" * 32}).bundle_sha256 == "ab" * 32


def test_every_setting_has_a_description() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, variable(name)
        assert field.description[-1] == ".", variable(name)
