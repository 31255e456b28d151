//! Whose key a question is asked with.
//!
//! | who reads                                   | by which key                       |
//! |---------------------------------------------|------------------------------------|
//! | a caller with a key of the platform         | that one, and no other             |
//! | a caller with a key of ours, where drafts are served | the operator's draft key, else as below |
//! | any other caller with a key of ours         | the operator's key                 |
//! | the same, where the operator has none       | none: rejected, and nobody is asked |
//!
//! Whether the platform answers is found out with the operator's key. Where there is none it is
//! asked without any ([`Upstream::knock`]): a key that is made up would count as a guess there.
//!
//! [`Upstream::knock`]: crate::origins::upstream::Upstream::knock

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;

use crate::model::{Credential, OriginName, Reads};
use crate::origins::{Error, Reader};

/// The operator's keys of a platform: what callers with a key of ours read by.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Reads for everybody. `None` where every caller brings a key of the platform.
    pub key: Option<Credential>,
    /// Reads in its place for environments that serve drafts.
    pub draft_key: Option<Credential>,
}

/// How a platform takes its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// RFC 7617, of a key `public:secret`.
    Basic,
    /// RFC 6750.
    Bearer,
}

/// The operator's keys of a platform, and how they are sent.
#[derive(Debug)]
pub(super) struct Keys {
    origin: OriginName,
    scheme: Scheme,
    config: Config,
}

impl Keys {
    pub(super) const fn new(origin: OriginName, scheme: Scheme, config: Config) -> Self {
        Self { origin, scheme, config }
    }

    /// The operator's own.
    pub(super) const fn own(&self) -> Option<&Credential> {
        self.config.key.as_ref()
    }

    /// The key that a reader's questions are asked with. Whoever should have brought one and has
    /// not is told what the platform would say: another one's key is never lent.
    ///
    /// # Errors
    ///
    /// `Rejected` if there is none.
    pub(super) fn of<'a>(&'a self, reader: &'a Reader) -> Result<&'a Credential, Error> {
        let draft_key = match reader.reads {
            Reads::Draft => self.config.draft_key.as_ref(),
            Reads::Published => None,
        };
        let ours = draft_key.or(self.own());
        reader.credential.as_ref().or(ours).ok_or_else(|| self.opens_nothing())
    }

    /// The `Authorization` that shows a key.
    ///
    /// # Errors
    ///
    /// `Rejected` for a key that no header can hold: it opens nothing, and is not sent.
    pub(super) fn authorization(&self, key: &Credential) -> Result<HeaderValue, Error> {
        let shown = match self.scheme {
            Scheme::Basic => format!("Basic {}", BASE64_STANDARD.encode(key.expose())),
            Scheme::Bearer => format!("Bearer {}", key.expose()),
        };
        let mut shown = HeaderValue::try_from(shown).map_err(|_| self.opens_nothing())?;
        shown.set_sensitive(true);
        Ok(shown)
    }

    fn opens_nothing(&self) -> Error {
        Error::Rejected { origin: self.origin.clone(), status: 401 }
    }
}

/// Whether the key that a question was asked with opens anything there.
///
/// # Errors
///
/// If the question was not answered.
pub(super) fn admitted<T>(answer: Result<T, Error>) -> Result<bool, Error> {
    match answer {
        Ok(_) => Ok(true),
        Err(Error::Rejected { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
