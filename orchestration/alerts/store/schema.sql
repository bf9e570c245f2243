-- The alerts in the application's database. Applied at every start: each statement can be repeated.
CREATE SCHEMA IF NOT EXISTS alerts;

-- One row. Who changes alarms locks it first: writers take turns (a few milliseconds each), so lines of the journal are numbered
-- in the order of commits, without gaps, and a reader that has line N has all lines before it.
CREATE TABLE IF NOT EXISTS alerts.head (
    is_one boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    seq bigint NOT NULL DEFAULT 0,
    alarm_id bigint NOT NULL DEFAULT 0,
    -- When alarms were last presented anew to operators, and when alarms last came that would have been, were there no flood.
    presented timestamptz[] NOT NULL DEFAULT '{}',
    offered timestamptz[] NOT NULL DEFAULT '{}',
    -- Since when few come, during a flood.
    calm_since timestamptz,
    -- The alarm that groups others in a flood; it may be over.
    flood_id bigint
);
INSERT INTO alerts.head DEFAULT VALUES ON CONFLICT DO NOTHING;

-- Columns are the attributes of orchestration.alerts.model.Alarm.
CREATE TABLE IF NOT EXISTS alerts.alarm (
    alarm_id bigint PRIMARY KEY,
    key text NOT NULL,
    rule text NOT NULL,
    title text NOT NULL,
    message text NOT NULL,
    priority smallint NOT NULL CHECK (priority BETWEEN 1 AND 4),
    domain text,
    fault_type text,
    source text,
    asset_ref text,
    asset_id text,
    asset_type text,
    asset_name text,
    commune text,
    street text,
    longitude double precision,
    latitude double precision,
    area text,
    owner_authority text,
    observed_property text,
    value double precision,
    value_text text,
    unit text,
    details jsonb NOT NULL DEFAULT '{}',
    started_at timestamptz NOT NULL,
    raised_at timestamptz NOT NULL,
    first_raised_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    is_active boolean NOT NULL,
    is_acknowledged boolean NOT NULL,
    returned_at timestamptz,
    closed_at timestamptz,
    closed_by text,
    acknowledged_at timestamptz,
    acknowledged_by text,
    assigned_to text,
    arrive_by timestamptz,
    safe_by timestamptz,
    restore_by timestamptz,
    shelved_until timestamptz,
    shelved_by text,
    shelve_reason text,
    suppressed_by text,
    suppress_reason text,
    is_out_of_service boolean NOT NULL DEFAULT false,
    parent_id bigint REFERENCES alerts.alarm DEFERRABLE INITIALLY DEFERRED,
    hidden integer NOT NULL DEFAULT 0,
    hidden_active integer NOT NULL DEFAULT 0,
    hides text[] NOT NULL DEFAULT '{}',
    releases_at timestamptz,
    ancestors text[] NOT NULL DEFAULT '{}',
    joins text,
    closes_by_hand boolean NOT NULL DEFAULT false,
    activations integer NOT NULL DEFAULT 1,
    recent timestamptz[] NOT NULL DEFAULT '{}',
    is_chattering boolean NOT NULL DEFAULT false,
    escalate_at timestamptz,
    escalation integer NOT NULL DEFAULT 0,
    procedure jsonb NOT NULL DEFAULT '[]',
    work_orders jsonb NOT NULL DEFAULT '[]',
    updated_seq bigint NOT NULL
);
-- The promise: one live alarm per key, whoever writes and however many.
CREATE UNIQUE INDEX IF NOT EXISTS alarm_one_live ON alerts.alarm (key) WHERE closed_at IS NULL;
CREATE INDEX IF NOT EXISTS alarm_of_key ON alerts.alarm (key, alarm_id DESC);
CREATE INDEX IF NOT EXISTS alarm_live ON alerts.alarm (priority, raised_at) WHERE closed_at IS NULL;
CREATE INDEX IF NOT EXISTS alarm_of_asset ON alerts.alarm (source, asset_ref) WHERE closed_at IS NULL;
CREATE INDEX IF NOT EXISTS alarm_of_asset_key ON alerts.alarm ((source || '|' || asset_ref)) WHERE closed_at IS NULL;
CREATE INDEX IF NOT EXISTS alarm_under ON alerts.alarm (parent_id) WHERE parent_id IS NOT NULL AND closed_at IS NULL;
-- What hangs on a piece of equipment, what is near a place.
CREATE INDEX IF NOT EXISTS alarm_hangs_on ON alerts.alarm USING gin (ancestors) WHERE closed_at IS NULL;
CREATE INDEX IF NOT EXISTS alarm_near ON alerts.alarm (joins, latitude) WHERE closed_at IS NULL AND joins IS NOT NULL;
-- What the clock brings (`store.tick`): few alarms wait for each.
CREATE INDEX IF NOT EXISTS alarm_releases ON alerts.alarm (releases_at) WHERE releases_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS alarm_shelved ON alerts.alarm (shelved_until) WHERE closed_at IS NULL AND shelved_until IS NOT NULL;
CREATE INDEX IF NOT EXISTS alarm_escalates ON alerts.alarm (escalate_at) WHERE closed_at IS NULL AND escalate_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS alarm_chatters ON alerts.alarm (raised_at) WHERE closed_at IS NULL AND is_chattering;
CREATE INDEX IF NOT EXISTS alarm_flooded ON alerts.alarm (priority, raised_at) WHERE closed_at IS NULL AND suppressed_by = 'flood';
CREATE INDEX IF NOT EXISTS alarm_recorded ON alerts.alarm (recorded_at);

-- What happened, by whom, when; `alarm` is the alarm after it. Nobody changes or removes a line: the trigger below refuses.
CREATE TABLE IF NOT EXISTS alerts.journal (
    seq bigint PRIMARY KEY,
    alarm_id bigint NOT NULL REFERENCES alerts.alarm,
    kind text NOT NULL,
    at timestamptz NOT NULL,
    happened_at timestamptz,
    actor text NOT NULL,
    comment text,
    details jsonb NOT NULL DEFAULT '{}',
    alarm jsonb NOT NULL
);
CREATE INDEX IF NOT EXISTS journal_of_alarm ON alerts.journal (alarm_id, seq);
CREATE INDEX IF NOT EXISTS journal_at ON alerts.journal (at);

CREATE OR REPLACE FUNCTION alerts.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal of alarms is append-only';
END $$;
CREATE OR REPLACE TRIGGER journal_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON alerts.journal
    FOR EACH STATEMENT EXECUTE FUNCTION alerts.refuse_change();

-- Equipment, as the last published referential describes it; replaced as a whole by the engine.
CREATE TABLE IF NOT EXISTS alerts.equipment (
    source text NOT NULL,
    asset_ref text NOT NULL,
    asset_id text NOT NULL,
    asset_type text,
    name text,
    domain text,
    commune text,
    street text,
    longitude double precision,
    latitude double precision,
    parent_source text,
    parent_ref text,
    owner_authority text,
    model text,
    geometry text,
    PRIMARY KEY (source, asset_ref)
);

CREATE INDEX IF NOT EXISTS equipment_under ON alerts.equipment (parent_source, parent_ref) WHERE parent_ref IS NOT NULL;

-- The engine's saved state: what it needs to go on where it was. `part` is a rule or a component, `key` what it is about.
CREATE TABLE IF NOT EXISTS alerts.engine_state (
    part text NOT NULL,
    key text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (part, key)
);
-- How far each partition of each stream is reflected in that state; `lane` tells fast feeds from mapped ones.
CREATE TABLE IF NOT EXISTS alerts.engine_cursor (
    stream text NOT NULL,
    partition integer NOT NULL,
    lane text NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (stream, partition, lane)
);
-- Who lives: the engine, the deliveries, each feed (`feed:NAME`).
CREATE TABLE IF NOT EXISTS alerts.heartbeat (
    name text PRIMARY KEY,
    at timestamptz NOT NULL,
    details jsonb NOT NULL DEFAULT '{}'
);

-- People and systems. Passwords and tokens are hashed.
CREATE TABLE IF NOT EXISTS alerts.person (
    login text PRIMARY KEY,
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'supervisor')),
    password_hash text NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS alerts.system (
    name text PRIMARY KEY,
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'supervisor')),
    token_digest bytea NOT NULL UNIQUE,
    is_active boolean NOT NULL DEFAULT true,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- Suppression by design: announced work, and what is out of service.
CREATE TABLE IF NOT EXISTS alerts.suppression (
    suppression_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('maintenance', 'out_of_service')),
    source text,
    asset_ref text,
    feed text,
    rule text,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz,
    reason text NOT NULL,
    declared_by text NOT NULL,
    declared_at timestamptz NOT NULL DEFAULT now(),
    ended_by text,
    -- Whether it was declared by a person, or in the territory's declared/planned_maintenance.csv.
    origin text NOT NULL DEFAULT 'person' CHECK (origin IN ('person', 'file')),
    -- When standing alarms were suppressed because of it, and when they stood for themselves again.
    applied_at timestamptz,
    lifted_at timestamptz,
    CHECK (ends_at IS NOT NULL OR kind = 'out_of_service'),
    CHECK (num_nonnulls(asset_ref, feed, rule) > 0)
);
CREATE INDEX IF NOT EXISTS suppression_open ON alerts.suppression (starts_at) WHERE lifted_at IS NULL;

-- Shifts: who took the post when, and what they were told.
CREATE TABLE IF NOT EXISTS alerts.shift (
    shift_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    login text NOT NULL,
    taken_at timestamptz NOT NULL,
    seq bigint NOT NULL,
    note text
);

-- How far each target of the deliveries is, what waits to be tried again, and what was given up.
CREATE TABLE IF NOT EXISTS alerts.delivery_cursor (
    target text PRIMARY KEY,
    seq bigint NOT NULL,
    state jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS alerts.dead_letter (
    dead_letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target text NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    tries integer NOT NULL,
    reason text NOT NULL,
    body jsonb NOT NULL,
    UNIQUE (target, seq)
);
-- What an alarm is called in a system it was sent to (the hypervisor's event, a work order).
CREATE TABLE IF NOT EXISTS alerts.remote (
    target text NOT NULL,
    alarm_id bigint NOT NULL REFERENCES alerts.alarm,
    kind text NOT NULL,
    remote_id text,
    state jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (target, alarm_id, kind)
);
