"""Every use case, wired to the ports it needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.ports import Assessor, AuditTrail, Decoder, Embedder, Gallery, ReferenceChanges, SpeakerStore, WorkQueue
from app.usecases.agreement import Agreement
from app.usecases.auditing import Auditor
from app.usecases.compare import Compare
from app.usecases.consistency import ConsistencyRule
from app.usecases.embed import Embed
from app.usecases.enroll import Enroll
from app.usecases.erase import Erase
from app.usecases.expiry import Expiry
from app.usecases.gallery_sync import GallerySync
from app.usecases.identify import Identify
from app.usecases.judging import Judge
from app.usecases.keys import ApiKeys
from app.usecases.listening import Listener
from app.usecases.readiness import Readiness
from app.usecases.replays import ReplayRule
from app.usecases.speakers import Speakers
from app.usecases.standing import StandingRule
from app.usecases.verify import Verify
from app.usecases.verify_stream import VerifyStream
from model.decision import EARLY, ReplayPolicy


@dataclass(frozen=True)
class UseCases:
    compare: Compare
    enroll: Enroll
    verify: Verify
    verify_stream: VerifyStream
    identify: Identify
    erase: Erase
    speakers: Speakers
    embed: Embed
    sync: GallerySync
    agreement: Agreement
    readiness: Readiness
    rule: StandingRule
    judge: Judge
    keys: ApiKeys
    expiry: Expiry


def assemble(
    *,
    decoder: Decoder,
    assessor: Assessor,
    embedder: Embedder,
    store: SpeakerStore,
    gallery: Gallery,
    work: WorkQueue,
    judge: Judge,
    keys: ApiKeys,
    trail: AuditTrail,
    changes: ReferenceChanges | None,
    enroll_min_speech_s: float,
    enroll_min_llr: float,
    embeddings_enabled: bool,
    replay_policy: ReplayPolicy,
    knows_replays: bool,
) -> UseCases:
    """One Listener and one GallerySync, shared: the lock of the latter holds only if there is one of it."""
    listener = Listener(decoder, assessor, embedder, work, takes_fingerprints=knows_replays)
    rule = StandingRule(embedder.encoder_id, enroll_min_speech_s)
    sync = GallerySync(store, gallery, rule, changes)
    replays = ReplayRule(store.fingerprints, replay_policy)
    audit = Auditor(trail)
    verify = Verify(listener, judge, store, rule, replays, audit)
    agreement = Agreement(store, gallery, rule, sync)
    return UseCases(
        compare=Compare(listener, judge, replays),
        enroll=Enroll(
            listener, judge.gate, store, sync, rule, ConsistencyRule(judge.likelihood, enroll_min_llr), replays, audit
        ),
        verify=verify,
        verify_stream=VerifyStream(verify, EARLY, audit),
        identify=Identify(listener, judge, store, gallery, sync, rule, replays, audit),
        erase=Erase(store, sync, audit),
        speakers=Speakers(store, audit),
        embed=Embed(replace(listener, takes_fingerprints=False), embeddings_enabled, audit),
        sync=sync,
        agreement=agreement,
        readiness=Readiness(store, gallery, embedder.encoder_id, agreement),
        rule=rule,
        judge=judge,
        keys=keys,
        expiry=Expiry(store, sync, audit),
    )
