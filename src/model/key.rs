//! API keys: what is kept of a token, and what it allows.

use std::fmt;

use crate::model::environment::Environment;
use crate::model::ids::{EnvironmentId, KeyId, ProjectId, Tenant};
use crate::model::project::Project;
use crate::model::timestamp::Timestamp;

/// SHA-256 of a token: all that is stored of it. Tokens are random, so no slow hash is needed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest(pub [u8; 32]);

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(…)")
    }
}

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Reading compiled prompts and the list of prompts.
    Deliver,
    /// Reading uncompiled versions: for an edge that has this one as its origin.
    Edge,
}

impl Scope {
    /// The stored and printed form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deliver => "deliver",
            Self::Edge => "edge",
        }
    }
}

/// A key's record. The token itself exists only at its creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Integer id.
    pub id: KeyId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// The environment it reads.
    pub environment: EnvironmentId,
    /// A name for people; may be empty.
    pub name: String,
    /// The token's first characters, enough to recognise it by.
    pub prefix: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From this moment on it is refused.
    pub expires_at: Option<Timestamp>,
    /// From this moment on it is refused.
    pub revoked_at: Option<Timestamp>,
    /// The last time it was seen, to within the flush interval of the running edges.
    pub last_used_at: Option<Timestamp>,
}

/// Whether a key still opens anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    // In order of a key's life, not of the alphabet.
    /// Usable.
    Valid,
    /// Its expiry has passed.
    Expired,
    /// Somebody revoked it.
    Revoked,
}

impl Standing {
    /// The printed form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl ApiKey {
    /// Judges the key at `now`. A key expires *at* its second: at exactly `expires_at` it is over.
    pub fn standing(&self, now: Timestamp) -> Standing {
        if self.revoked_at.is_some_and(|at| at <= now) {
            Standing::Revoked
        } else if self.expires_at.is_some_and(|at| at <= now) {
            Standing::Expired
        } else {
            Standing::Valid
        }
    }
}

/// Everything a key stands for: itself, its project and its environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The key.
    pub key: ApiKey,
    /// Its project.
    pub project: Project,
    /// Its environment.
    pub environment: Environment,
}

impl Grant {
    /// What somebody stands for who has no key in the store: reading prompts through this
    /// environment, and nothing else.
    pub fn without_key(project: Project, environment: Environment) -> Self {
        let key = ApiKey {
            id: KeyId::NONE,
            project: project.id,
            environment: environment.id,
            name: String::new(),
            prefix: String::new(),
            scopes: Vec::from([Scope::Deliver]),
            created_at: Timestamp::default(),
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
        };
        Self { key, project, environment }
    }

    /// Whether its key has a record in the store.
    pub fn has_key(&self) -> bool {
        self.key.id != KeyId::NONE
    }

    /// Whose prompts the key reads, and through which environment.
    pub fn tenant(&self) -> Tenant {
        Tenant::new(self.project.id, self.environment.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(expires_at: Option<i64>, revoked_at: Option<i64>) -> ApiKey {
        ApiKey {
            id: KeyId(1),
            project: ProjectId(1),
            environment: EnvironmentId(1),
            name: String::new(),
            prefix: "pk_live_abcd".into(),
            scopes: vec![Scope::Deliver],
            created_at: Timestamp::default(),
            expires_at: expires_at.map(Timestamp::from_millis),
            revoked_at: revoked_at.map(Timestamp::from_millis),
            last_used_at: None,
        }
    }

    #[test]
    fn a_key_expires_at_its_second() {
        let at = Timestamp::from_millis;

        assert_eq!(key(Some(5_000), None).standing(at(4_999)), Standing::Valid);
        assert_eq!(key(Some(5_000), None).standing(at(5_000)), Standing::Expired);
        assert_eq!(key(None, Some(5_000)).standing(at(5_000)), Standing::Revoked);
        assert_eq!(key(None, None).standing(at(i64::MAX)), Standing::Valid);
    }

    #[test]
    fn a_digest_never_prints_itself() {
        assert_eq!(format!("{:?}", KeyDigest([7; 32])), "KeyDigest(…)");
    }
}
