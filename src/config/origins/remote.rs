//! The part of an entry that is about a platform over HTTP.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use crate::config::origins::entry::{Entry, KindName, WITH_DRAFT_KEY};
use crate::config::origins::{Keys, Remote};
use crate::config::places::{self, PATH};
use crate::config::secrets;
use crate::config::units::{KIB, MIB, MILLISECOND, MINUTE, SECOND};
use crate::hooks::signature::PROMPTOT_SIGNATURE;
use crate::hooks::{self, Scheme};
use crate::origins::guard;
use crate::wire::client;

impl Entry<'_, '_> {
    /// `passing` is the origin before it that passes keys through, if there is one; then it is this
    /// one, if it does.
    pub(super) fn remote(&mut self, passing: &mut Option<String>) -> Option<Remote> {
        let client = self.client();
        let base_url = self.base_url(client.allow_http);
        let keys = self.keys(passing);
        Some(Remote { base_url: base_url?, keys: keys?, client })
    }

    fn client(&mut self) -> client::Config {
        let default = client::Config::default();
        let client_certificate = self.client_certificate();
        let mut timeout = |key: &str, default| self.reader.duration(self.at(key), default, TIMEOUT);
        client::Config {
            connect_timeout: timeout("connect_timeout", default.connect_timeout),
            first_byte_timeout: timeout("first_byte_timeout", default.first_byte_timeout),
            total_timeout: timeout("total_timeout", default.total_timeout),
            max_body_bytes: self.reader.size(
                self.at("max_body"),
                default.max_body_bytes,
                KIB..=64 * MIB,
            ),
            ca: self.reader.text(self.at("ca"), PATH, places::path),
            client_certificate,
            proxy: self.reader.text(self.at("proxy"), places::PROXY, places::proxy),
            allow_http: self.reader.switch(self.at("allow_http"), default.allow_http),
        }
    }

    fn base_url(&mut self, allows_http: bool) -> Option<Uri> {
        let path = self.at("base_url");
        let url = self.reader.text(path.clone(), places::BASE, places::base);
        self.require("base_url", places::BASE);
        let url = url?;
        if places::is_exposed(&url) && !allows_http {
            let expected = "https://, or allow_http = true: keys and prompts would be readable \
                            on the way";
            self.reader.refuse(&[&path], "http://…", expected);
        }
        Some(url)
    }

    fn keys(&mut self, passing: &mut Option<String>) -> Option<Keys> {
        let modes = [("mapped", false), ("pass-through", true)];
        match self.reader.choice(self.at("keys"), false, &modes) {
            true => Some(self.pass_through(passing)),
            false => self.mapped(),
        }
    }

    fn mapped(&mut self) -> Option<Keys> {
        self.require("key", secrets::FORM);
        let is_pair = self.kind == Some(KindName::Langfuse);
        let key = secrets::secret(self.reader, &self.at("key"), |text| {
            match is_pair && !text.contains(':') {
                true => Err("the public key, a colon and the secret key".to_owned()),
                false => secrets::credential(text),
            }
        });
        let draft_key = match self.is_one_of(WITH_DRAFT_KEY) {
            true => secrets::secret(self.reader, &self.at("draft_key"), secrets::credential),
            false => None,
        };
        Some(Keys::Mapped { key: key?, draft_key })
    }

    fn pass_through(&mut self, passing: &mut Option<String>) -> Keys {
        for key in ["key", "draft_key"] {
            self.reader.refuse_key(&self.at(key), "only with keys = \"mapped\"");
        }
        match passing {
            None => *passing = Some(self.path.clone()),
            Some(first) => {
                let expected = format!(
                    "mapped: {first} is pass-through, and a caller's key is shown to one origin \
                     only"
                );
                self.reader.refuse(&[&self.at("keys")], "\"pass-through\"", &expected);
            }
        }
        Keys::PassThrough
    }

    pub(super) fn guard(&mut self) -> guard::Config {
        let default = guard::Config::default();
        let [retries, failures, open] =
            ["retries", "breaker_failures", "breaker_open"].map(|key| self.at(key));
        guard::Config {
            retries: self.reader.number(retries, default.retries, 0..=10),
            breaker_failures: self.reader.number(
                failures,
                default.breaker_failures,
                NonZeroU32::MIN..=MAX_FAILURES,
            ),
            breaker_open: self.reader.duration(open, default.breaker_open, SECOND..=10 * MINUTE),
            ..default
        }
    }

    pub(super) fn hook(&mut self) -> Option<hooks::Config> {
        let hook = self.at("hook");
        let [scheme, header, secret] =
            ["scheme", "header", "secret"].map(|key| format!("{hook}.{key}"));
        let own = match self.kind {
            Some(KindName::Langfuse) => SchemeName::Langfuse,
            Some(KindName::PromptOt) => SchemeName::PromptOt,
            Some(KindName::Files | KindName::PromptEdge | KindName::Sqlite) | None => {
                SchemeName::Standard
            }
        };
        let is_there = self.reader.table(&hook, HOOK);
        let schemes = SchemeName::ALL.map(|name| (name.as_str(), name));
        let scheme = self.reader.choice(scheme, own, &schemes);
        if scheme != SchemeName::PromptOt {
            self.reader.refuse_key(&header, "only with scheme = \"promptot\"");
        }
        let header = self
            .reader
            .parsed(header, PROMPTOT_SIGNATURE, HEADER, |text| text.parse().map_err(|_| HEADER));
        let scheme = match scheme {
            SchemeName::Langfuse => Scheme::Langfuse,
            SchemeName::PromptOt => Scheme::PromptOt { header },
            SchemeName::Standard => Scheme::Standard,
        };
        if is_there {
            self.reader.require(&hook, "secret", secrets::FORM);
        }
        secrets::secret(self.reader, &secret, |text| {
            let config = hooks::Config::new(scheme.clone(), &secrets::credential(text)?);
            config.map_err(|error| error.to_string().replacen("expected ", "", 1))
        })
    }

    fn client_certificate(&mut self) -> Option<(PathBuf, PathBuf)> {
        let table = self.at("client_certificate");
        let is_there = self.reader.table(&table, CLIENT_CERTIFICATE);
        let mut file = |key: &str| {
            if is_there {
                self.reader.require(&table, key, PATH);
            }
            self.reader.text(format!("{table}.{key}"), PATH, places::path)
        };
        let (certificate, key) = (file("certificate"), file("key"));
        certificate.zip(key)
    }
}

/// How an origin signs its hooks, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SchemeName {
    Langfuse,
    PromptOt,
    Standard,
}

impl SchemeName {
    const ALL: [Self; 3] = [Self::PromptOt, Self::Langfuse, Self::Standard];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Langfuse => "langfuse",
            Self::PromptOt => "promptot",
            Self::Standard => "standard",
        }
    }
}

const HOOK: &str = "{ secret = { env = \"NAME\" } }, and scheme and header if need be";
const HEADER: &str = "the name of a header";
const CLIENT_CERTIFICATE: &str = "{ certificate = \"path\", key = \"path\" }";

const TIMEOUT: RangeInclusive<Duration> = MILLISECOND..=MINUTE;
const MAX_FAILURES: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);
