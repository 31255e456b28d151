-- The first schema. Moments are milliseconds since the Unix epoch, UUIDs their 36-character text,
-- structured values JSON.

CREATE TABLE projects (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid        TEXT    NOT NULL UNIQUE,
    name        TEXT    NOT NULL UNIQUE,
    plan        TEXT    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE environments (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    project     INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    reads       TEXT    NOT NULL CHECK (reads IN ('draft', 'published')),
    defaults    TEXT    NOT NULL DEFAULT '{}' CHECK (json_type(defaults) = 'object'),
    UNIQUE (project, name)
) STRICT;

-- Of a token only its SHA-256 is kept.
CREATE TABLE keys (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    environment  INTEGER NOT NULL REFERENCES environments ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    digest       BLOB    NOT NULL UNIQUE CHECK (length(digest) = 32),
    prefix       TEXT    NOT NULL,
    scopes       TEXT    NOT NULL CHECK (json_type(scopes) = 'array'),
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER
) STRICT;

CREATE INDEX keys_of_an_environment ON keys (environment);

CREATE TABLE prompts (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid        TEXT    NOT NULL UNIQUE,
    project     INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE,
    slug        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    category    TEXT    NOT NULL,
    visibility  TEXT    NOT NULL CHECK (visibility IN ('private', 'public')),
    tags        TEXT    NOT NULL CHECK (json_type(tags) = 'array'),
    owner       TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    UNIQUE (project, slug)
) STRICT;

CREATE TABLE versions (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    prompt      INTEGER NOT NULL REFERENCES prompts ON DELETE CASCADE,
    number      INTEGER NOT NULL CHECK (number > 0),
    uuid        TEXT    NOT NULL UNIQUE,
    commit_hash TEXT    NOT NULL,
    content     TEXT    NOT NULL CHECK (json_type(content) = 'object'),
    created_at  INTEGER NOT NULL,
    UNIQUE (prompt, number)
) STRICT;

CREATE TRIGGER versions_never_change BEFORE UPDATE ON versions BEGIN
    SELECT raise(ABORT, 'a version never changes');
END;

CREATE TABLE labels (
    prompt  INTEGER NOT NULL,
    label   TEXT    NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (prompt, label),
    FOREIGN KEY (prompt, version) REFERENCES versions (prompt, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- A stack per prompt and environment: the newest row that is not withdrawn is live.
CREATE TABLE publications (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    prompt       INTEGER NOT NULL,
    environment  INTEGER NOT NULL REFERENCES environments ON DELETE CASCADE,
    version      INTEGER NOT NULL,
    published_at INTEGER NOT NULL,
    withdrawn_at INTEGER,
    FOREIGN KEY (prompt, version) REFERENCES versions (prompt, number) ON DELETE CASCADE
) STRICT;

CREATE INDEX publications_of_a_prompt ON publications (prompt, environment);
CREATE INDEX publications_in_an_environment ON publications (environment);

-- Every prompt as every environment of its project sees it. The one place that says which version
-- an environment serves; `version` is NULL where it serves none.
CREATE VIEW served AS
SELECT
    e.id AS environment, e.project, e.reads, e.defaults,
    p.id AS prompt, p.uuid AS prompt_uuid, p.slug, p.name, p.description, p.category,
    p.visibility, p.tags, p.owner, p.created_at, p.updated_at,
    CASE e.reads
        WHEN 'draft' THEN
            (SELECT max(number) FROM versions WHERE prompt = p.id)
        ELSE
            (SELECT version FROM publications
             WHERE prompt = p.id AND environment = e.id AND withdrawn_at IS NULL
             ORDER BY id DESC LIMIT 1)
    END AS version
FROM environments e JOIN prompts p ON p.project = e.project;

-- What changed, for whoever keeps copies. Written by triggers alone, so that no write can forget.
CREATE TABLE changes (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    kind    TEXT NOT NULL CHECK (kind IN ('key', 'project', 'prompt')),
    project INTEGER,
    prompt  TEXT,
    slug    TEXT,
    digest  BLOB
) STRICT;

CREATE TRIGGER changes_are_bounded AFTER INSERT ON changes BEGIN
    DELETE FROM changes WHERE seq <= NEW.seq - 10000;
END;

CREATE TRIGGER project_made AFTER INSERT ON projects BEGIN
    INSERT INTO changes (kind, project) VALUES ('project', NEW.id);
END;
CREATE TRIGGER project_changed AFTER UPDATE ON projects BEGIN
    INSERT INTO changes (kind, project) VALUES ('project', NEW.id);
END;
CREATE TRIGGER project_deleted AFTER DELETE ON projects BEGIN
    INSERT INTO changes (kind, project) VALUES ('project', OLD.id);
END;

CREATE TRIGGER environment_made AFTER INSERT ON environments BEGIN
    INSERT INTO changes (kind, project) VALUES ('project', NEW.project);
END;
CREATE TRIGGER environment_changed AFTER UPDATE ON environments BEGIN
    INSERT INTO changes (kind, project) VALUES ('project', NEW.project);
END;
CREATE TRIGGER environment_deleted AFTER DELETE ON environments BEGIN
    INSERT INTO changes (kind, project) VALUES ('project', OLD.project);
END;

-- `last_used_at` is left out on purpose: that a key was used changes no answer.
CREATE TRIGGER key_made AFTER INSERT ON keys BEGIN
    INSERT INTO changes (kind, digest) VALUES ('key', NEW.digest);
END;
CREATE TRIGGER key_changed
AFTER UPDATE OF environment, name, digest, prefix, scopes, expires_at, revoked_at ON keys BEGIN
    INSERT INTO changes (kind, digest) VALUES ('key', OLD.digest);
    INSERT INTO changes (kind, digest) SELECT 'key', NEW.digest WHERE NEW.digest <> OLD.digest;
END;
CREATE TRIGGER key_deleted AFTER DELETE ON keys BEGIN
    INSERT INTO changes (kind, digest) VALUES ('key', OLD.digest);
END;

-- A prompt that is renamed changes under both names.
CREATE TRIGGER prompt_made AFTER INSERT ON prompts BEGIN
    INSERT INTO changes (kind, project, prompt, slug)
    VALUES ('prompt', NEW.project, NEW.uuid, NEW.slug);
END;
CREATE TRIGGER prompt_changed AFTER UPDATE ON prompts BEGIN
    INSERT INTO changes (kind, project, prompt, slug)
    SELECT 'prompt', OLD.project, OLD.uuid, OLD.slug
    WHERE (OLD.project, OLD.uuid, OLD.slug) <> (NEW.project, NEW.uuid, NEW.slug);
    INSERT INTO changes (kind, project, prompt, slug)
    VALUES ('prompt', NEW.project, NEW.uuid, NEW.slug);
END;
CREATE TRIGGER prompt_deleted AFTER DELETE ON prompts BEGIN
    INSERT INTO changes (kind, project, prompt, slug)
    VALUES ('prompt', OLD.project, OLD.uuid, OLD.slug);
END;

-- What belongs to a prompt changes the prompt. When a deleted prompt takes these rows with it, its
-- own row is gone already: they find no name, and `prompt_deleted` has said it.
CREATE TRIGGER version_made AFTER INSERT ON versions BEGIN
    INSERT INTO changes (kind, project, prompt, slug)
    SELECT 'prompt', project, uuid, slug FROM prompts WHERE id = NEW.prompt;
END;
CREATE TRIGGER version_deleted AFTER DELETE ON versions BEGIN
    INSERT INTO changes (kind, project, prompt, slug)
    SELECT 'prompt', project, uuid, slug FROM prompts WHERE id = OLD.prompt;
END;

CREATE TRIGGER label_made AFTER INSERT ON labels BEGIN
    INSERT INTO changes (kind, project, prompt, slug)
    SELECT 'prompt', project, uuid, slug FROM prompts WHERE id = NEW.prompt;
END;
CREATE TRIGGER label_changed AFTER UPDATE ON labels BEGIN
    INSERT INTO changes (kind, project, prompt, slug)
    SELECT 'prompt', project, uuid, slug FROM prompts WHERE id IN (OLD.prompt, NEW.prompt);
END;
CREATE TRIGGER label_deleted AFTER DELETE ON labels BEGIN
    INSERT INTO changes (kind, project, prompt, slug)
    SELECT 'prompt', project, uuid, slug FROM prompts WHERE id = OLD.prompt;
END;

CREATE TRIGGER publication_made AFTER INSERT ON publications BEGIN
    INSERT INTO changes (kind, project, prompt, slug)
    SELECT 'prompt', project, uuid, slug FROM prompts WHERE id = NEW.prompt;
END;
CREATE TRIGGER publication_changed AFTER UPDATE ON publications BEGIN
    INSERT INTO changes (kind, project, prompt, slug)
    SELECT 'prompt', project, uuid, slug FROM prompts WHERE id IN (OLD.prompt, NEW.prompt);
END;
CREATE TRIGGER publication_deleted AFTER DELETE ON publications BEGIN
    INSERT INTO changes (kind, project, prompt, slug)
    SELECT 'prompt', project, uuid, slug FROM prompts WHERE id = OLD.prompt;
END;
