-- Months that are counted. What is counted here changes no answer that is kept anywhere, so these
-- tables write nothing to `changes`.

-- A month is its text, such as 2026-11.
CREATE TABLE months (
    project INTEGER NOT NULL REFERENCES projects ON DELETE CASCADE,
    month   TEXT    NOT NULL,
    used    INTEGER NOT NULL CHECK (used >= 0),
    PRIMARY KEY (project, month)
) STRICT, WITHOUT ROWID;

-- What is handed out of a month and not accounted for yet. A lease of nothing has no row.
CREATE TABLE leases (
    project     INTEGER NOT NULL,
    month       TEXT    NOT NULL,
    holder      TEXT    NOT NULL,
    outstanding INTEGER NOT NULL CHECK (outstanding > 0),
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (project, month, holder),
    FOREIGN KEY (project, month) REFERENCES months ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
