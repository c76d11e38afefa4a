BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE enrollments (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	tenant VARCHAR NOT NULL, 
	enrollment_id VARCHAR NOT NULL, 
	speaker_id VARCHAR NOT NULL, 
	encoder_id VARCHAR NOT NULL, 
	embedding BLOB NOT NULL, 
	duration_s FLOAT NOT NULL, 
	speech_s FLOAT NOT NULL, 
	snr_db FLOAT, 
	clipped_fraction FLOAT NOT NULL, 
	source_format VARCHAR NOT NULL, 
	source_sample_rate_hz INTEGER NOT NULL, 
	source_channels INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT uq_enrollments_tenant_enrollment_id UNIQUE (tenant, enrollment_id), 
	CONSTRAINT fk_enrollments_speakers FOREIGN KEY(tenant, speaker_id) REFERENCES speakers (tenant, speaker_id) ON DELETE CASCADE
);
INSERT INTO "enrollments" VALUES(5,'default','e1','alice','encoder-a',X'0000803E932B883E2657903EB982983E4CAEA03EDFD9A83E7205B13E0531B93E995CC13E2C88C93EBFB3D13E52DFD93EE50AE23E7836EA3E0B62F23E9E8DFA3E',9.0,7.0,20.5,0.0,'wav',16000,1,'2026-01-02 03:04:05.000006');
INSERT INTO "enrollments" VALUES(6,'default','e2','alice','encoder-a',X'995C013F6272053F2C88093FF59D0D3FBFB3113F88C9153F52DF193F1BF51D3FE50A223FAE20263F78362A3F414C2E3F0B62323FD477363F9E8D3A3F67A33E3F',10.0,8.0,20.5,0.0,'wav',16000,1,'2026-01-02 03:04:05.000006');
INSERT INTO "enrollments" VALUES(7,'neighbour','e3','alice','encoder-a',X'31B9423FFBCE463FC4E44A3F8EFA4E3F5710533F2126573FEA3B5B3FB4515F3F7D67633F477D673F10936B3FDAA86F3FA3BE733F6DD4773F36EA7B3F0000803F',11.0,9.0,20.5,0.0,'wav',16000,1,'2026-01-02 03:04:05.000006');
CREATE TABLE idempotency (
	tenant VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	fingerprint VARCHAR NOT NULL, 
	speaker_id VARCHAR NOT NULL, 
	enrollment_ids JSON, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_idempotency PRIMARY KEY (tenant, "key"), 
	CONSTRAINT fk_idempotency_speakers FOREIGN KEY(tenant, speaker_id) REFERENCES speakers (tenant, speaker_id) ON DELETE CASCADE
);
INSERT INTO "idempotency" VALUES('default','key','print','alice','["e1", "e2"]','2026-01-02 03:04:05.000006');
CREATE TABLE secrets (
	name VARCHAR NOT NULL, 
	sealed BLOB NOT NULL, 
	CONSTRAINT pk_secrets PRIMARY KEY (name)
);
INSERT INTO "secrets" VALUES('api_keys',X'01D820A119CB75EB2006060CC6A1EBC0E80DAD7C1C798E702D32D143A59EC318BE626912D3E702A03EE093F29DA3E93A37466C1EC66C7410275A946B02A2C59094');
INSERT INTO "secrets" VALUES('speaker_ids',X'01D820A1193CB2478EC003285C4E18F64561EAFC6F2D08BF461AAA478E3286397F1DE66226A7D94ACBC208114294203A66A0EF8CAA16CC18818DF18EC1614C0EE7');
CREATE TABLE speakers (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	tenant VARCHAR NOT NULL, 
	speaker_id VARCHAR NOT NULL, 
	display_name VARCHAR, 
	metadata JSON NOT NULL, 
	consent JSON, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	CONSTRAINT uq_speakers_tenant_speaker_id UNIQUE (tenant, speaker_id)
);
INSERT INTO "speakers" VALUES(2,'default','alice','Älice','{"n": [1]}','{"purpose": "login"}','2026-01-02 03:04:05.000006','2026-01-02 03:04:05.000006');
INSERT INTO "speakers" VALUES(3,'default','bob',NULL,'{}',NULL,'2026-01-02 03:04:05.000006','2026-01-02 03:04:05.000006');
INSERT INTO "speakers" VALUES(7,'neighbour','alice',NULL,'{}',NULL,'2026-01-02 03:04:05.000006','2026-01-02 03:04:05.000006');
CREATE INDEX ix_speakers_tenant_seq ON speakers (tenant, seq);
CREATE INDEX ix_enrollments_tenant_speaker_id_seq ON enrollments (tenant, speaker_id, seq);
CREATE INDEX ix_idempotency_tenant_speaker_id ON idempotency (tenant, speaker_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('speakers',7);
INSERT INTO "sqlite_sequence" VALUES('enrollments',7);
COMMIT;
