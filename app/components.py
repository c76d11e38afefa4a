"""The composition root: the only file that names concrete adapters."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from app.access import SCOPES, KeyHasher
from app.adapters.audit_files import AUDIT_FOLDER, AuditFiles
from app.adapters.audit_lines import TrailKeys
from app.adapters.batching import BatchingEmbedder
from app.adapters.bootstrap_key import write_bootstrap_key
from app.adapters.c_heap import return_large_blocks
from app.adapters.database import Database, is_sealed, open_database
from app.adapters.decoder_pool import DecoderPool
from app.adapters.embedders import BundleEmbedder, choose_device, open_embedder, use_one_thread_per_worker
from app.adapters.erasures import open_erasures
from app.adapters.galleries import open_gallery
from app.adapters.postgres import PostgresLimits
from app.adapters.sealing import Sealer
from app.adapters.sql_keys import SqlKeyStore
from app.adapters.sql_secrets import Secrets, open_master_key, open_secrets
from app.adapters.sql_store import SqlSpeakerStore
from app.adapters.work_queue import ThreadWorkQueue
from app.errors import SettingsError
from app.ports import Assessor, AuditTrail, Decoder, Embedder, Gallery, ReferenceChanges, SpeakerStore, WorkQueue
from app.records import DEFAULT_TENANT, ModelFacts, utc_now
from app.settings import Settings, is_loopback
from app.usecases.auditing import Auditor
from app.usecases.catalogue import UseCases, assemble
from app.usecases.judging import Judge
from app.usecases.keys import ApiKeys
from model.bundle import Bundle, load_bundle
from model.decision import OperatingPoint, QualityGate
from model.decoding import DecodingLimits
from model.likelihood import LikelihoodModel
from model.quality import SpeechAssessor
from model.speech import SpeechDetector

log = logging.getLogger("vouch")

N_THREADS_PER_WORKER = 2
"""One waits for its decoder, or for the interpreter, while the other computes: a tenth more requests at the peak."""


@dataclass(frozen=True)
class Components:
    """What the service stands on. Tests pass fakes."""

    decoder: Decoder
    assessor: Assessor
    embedder: Embedder
    store: SpeakerStore
    gallery: Gallery
    work: WorkQueue
    facts: ModelFacts
    keys: ApiKeys
    trail: AuditTrail
    changes: ReferenceChanges | None = None
    """Where other processes have the store too, and the gallery is each one's own."""

    def use_cases(self, settings: Settings) -> UseCases:
        """Raises UnknownOperatingPoint where the bundle lacks the default one."""
        return assemble(
            decoder=self.decoder,
            assessor=self.assessor,
            embedder=self.embedder,
            store=self.store,
            gallery=self.gallery,
            work=self.work,
            judge=_judge(settings, self.facts.likelihood, self.facts.operating_points),
            keys=self.keys,
            trail=self.trail,
            changes=self.changes,
            enroll_min_speech_s=settings.enroll_min_speech_s,
            enroll_min_llr=settings.enroll_min_llr,
            embeddings_enabled=settings.embeddings_enabled,
            replay_policy=settings.replay_policy,
            knows_replays=settings.replay_kept_clips > 0,
        )

    def close(self) -> None:
        self.work.close()
        self.decoder.close()
        self.embedder.close()
        self.gallery.close()
        self.keys.write_uses()
        self.trail.sync()
        self.store.close()


def build(settings: Settings) -> Components:
    """Loads the bundle and opens the store. Raises a VouchError with a sentence."""
    bundle = load_bundle(settings.bundle_path, settings.bundle_sha256)
    _judge(settings, bundle.likelihood, bundle.operating_points)  # a setting it refuses stops the start, not a request
    use_one_thread_per_worker()
    return_large_blocks()
    embedder = open_embedder(settings.engine, bundle, choose_device(settings.device, bundle))
    assessor = SpeechAssessor(SpeechDetector())
    log.info("bundle %s (encoder %s) on %s", bundle.bundle_id, bundle.encoder_id, embedder.device)
    _make_data_dir(settings)
    kept = _open_store(settings, bundle)
    n_threads = N_THREADS_PER_WORKER * settings.workers
    return Components(
        decoder=DecoderPool(DecodingLimits(max_duration_s=settings.max_audio_s), n_threads),
        assessor=assessor,
        embedder=embedder,
        store=kept.store,
        gallery=kept.gallery,
        work=ThreadWorkQueue(n_threads, settings.queue_size, settings.max_wait_s),
        facts=_facts(bundle, embedder),
        keys=kept.keys,
        trail=kept.trail,
        changes=kept.changes,
    )


def _judge(settings: Settings, likelihood: LikelihoodModel, points: Mapping[str, OperatingPoint]) -> Judge:
    return Judge(
        likelihood=likelihood,
        points=points,
        default_point=settings.operating_point,
        prior=settings.prior,
        gate=QualityGate(settings.min_speech_s, settings.min_snr_db),
        identify_margin=settings.identify_margin,
    )


@contextmanager
def open_keys(settings: Settings) -> Iterator[ApiKeys]:
    """The keys alone, for a command. Raises StoreInUse where a service has the database."""
    _make_data_dir(settings)
    master = open_master_key(settings, may_make=not is_sealed(settings.store_url))
    database = open_database(settings.store_url, master, _limits(settings))
    try:
        secrets = open_secrets(database, master)
        yield _keys(database, secrets, _trail(secrets, settings))
    finally:
        database.close()


@dataclass(frozen=True)
class _Kept:
    """What lies in the database, and what follows it."""

    store: SqlSpeakerStore
    gallery: Gallery
    changes: ReferenceChanges | None
    keys: ApiKeys
    trail: AuditFiles


def _open_store(settings: Settings, bundle: Bundle) -> _Kept:
    """With its secrets, which must be readable, and the keys that the address asks for, before anything is served; and
    without whoever was erased before.
    """
    master = open_master_key(settings, may_make=not is_sealed(settings.store_url))
    database = open_database(settings.store_url, master, _limits(settings))
    try:
        secrets = open_secrets(database, master)
        trail = _trail(secrets, settings)
        keys = _keys(database, secrets, trail)
        with database.alone():
            _require_keys_beyond_loopback(keys, settings)
        erasures = open_erasures(database, secrets, settings)
        sealer = Sealer(master)
        opened = open_gallery(settings, database, sealer, bundle.encoder_id, bundle.n_embedding)
        store = SqlSpeakerStore(
            database, sealer, erasures, opened.follower, n_kept_fingerprints=settings.replay_kept_clips
        )
        if not settings.replay_kept_clips:
            store.fingerprints.remove_all()
        return _Kept(store, opened.gallery, opened.changes, keys, trail)
    except BaseException:
        database.close()
        raise


def _limits(settings: Settings) -> PostgresLimits:
    return PostgresLimits(settings.database_pool, settings.database_timeout_s)


def _keys(database: Database, secrets: Secrets, trail: AuditTrail) -> ApiKeys:
    return ApiKeys(SqlKeyStore(database), KeyHasher(secrets.api_keys), Auditor(trail))


def _trail(secrets: Secrets, settings: Settings) -> AuditFiles:
    folder = settings.data_dir / AUDIT_FOLDER
    return AuditFiles(folder, TrailKeys.of(secrets.speaker_ids), settings.audit_days, utc_now)


def _require_keys_beyond_loopback(keys: ApiKeys, settings: Settings) -> None:
    """Makes the first key where there is a file for it. Raises SettingsError where there is none."""
    keys.refresh(None)  # of replicas that start at once, one makes it
    if keys.are_required or is_loopback(settings.host) or settings.allow_keyless:
        return
    if settings.bootstrap_key_file is None:
        raise SettingsError(
            f"VOUCH_HOST is {settings.host!r}, which is beyond loopback, and this service has no keys: whoever reaches "
            "it could enrol, verify and erase. Make a key with `vouch keys create NAME --scope admin`, or listen on "
            "127.0.0.1, or set VOUCH_ALLOW_KEYLESS=1 where something else, such as a proxy that authenticates, stands "
            "in front of it."
        )
    made = keys.new("bootstrap", DEFAULT_TENANT, SCOPES)
    # The file first: a key that nobody could read would lock everybody out.
    write_bootstrap_key(settings.bootstrap_key_file, made.text)
    keys.add(made.key)
    log.warning(
        "made a first API key with every scope; it is in %s. Make others with it, then revoke it.",
        settings.bootstrap_key_file,
    )


def _make_data_dir(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"VOUCH_DATA_DIR is {str(settings.data_dir)!r}, which cannot be made ({error.strerror}). Name a folder that "
            "this user may write to."
        ) from error


def _facts(bundle: Bundle, embedder: BundleEmbedder | BatchingEmbedder) -> ModelFacts:
    return ModelFacts(
        bundle_id=bundle.bundle_id,
        sha256=bundle.sha256,
        encoder_id=bundle.encoder_id,
        n_embedding=bundle.n_embedding,
        likelihood=bundle.likelihood,
        calibration_id=bundle.calibration_id,
        operating_points=bundle.operating_points,
        card=bundle.card,
        device=embedder.device,
        engine=embedder.engine,
        prose=bundle.prose,
    )
