//! Which certificate a caller is shown, by the host it names (SNI, RFC 6066 §3).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Certificates by the names they are for.
pub(super) struct Table {
    /// For a caller that names no host, or none of ours.
    first: Arc<CertifiedKey>,
    /// By name in lower case; a wildcard stands under its own text, such as `*.example.com`. Of one
    /// name in the order of the configuration: one with ECDSA and one with RSA, for old callers.
    named: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl Table {
    /// A table without any name yet.
    pub(super) fn new(first: Arc<CertifiedKey>) -> Self {
        Self { first, named: HashMap::new() }
    }

    /// Adds a certificate under a name in lower case.
    pub(super) fn add(&mut self, name: &str, key: &Arc<CertifiedKey>) {
        self.named.entry(name.to_owned()).or_default().push(Arc::clone(key));
    }

    /// The certificates for a host: those that say its very name, else those with a wildcard for
    /// its first label (RFC 9525 §6.3), else the first of all.
    fn of(&self, host: Option<&str>) -> &[Arc<CertifiedKey>] {
        let Some(host) = host else { return std::slice::from_ref(&self.first) };
        let host = host.to_ascii_lowercase();
        let wildcard = || {
            let (_, rest) = host.split_once('.')?;
            self.named.get(&format!("*.{rest}"))
        };
        let found = self.named.get(&host).or_else(wildcard);
        found.map_or(std::slice::from_ref(&self.first), Vec::as_slice)
    }
}

impl ResolvesServerCert for Table {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let keys = self.of(hello.server_name());
        let schemes = hello.signature_schemes();
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        keys.iter().find(fits).or(keys.first()).cloned()
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.named.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::PrivateKeyDer;

    use super::*;

    fn certificate(name: &str) -> Arc<CertifiedKey> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let chain = Vec::from([made.cert.der().clone()]);
        let provider = aws_lc_rs::default_provider();
        Arc::new(CertifiedKey::from_der(chain, key, &provider).unwrap())
    }

    #[test]
    fn the_nearest_name_wins_and_a_wildcard_is_for_one_label() {
        let [first, wild, exact, twin] =
            ["a.test", "*.b.test", "x.b.test", "x.b.test"].map(|name| (name, certificate(name)));
        let mut table = Table::new(Arc::clone(&first.1));
        for (name, key) in [&first, &wild, &exact, &twin] {
            table.add(name, key);
        }

        for (host, shown) in [
            (None, &first),
            (Some("a.test"), &first),
            (Some("A.Test"), &first),
            (Some("x.b.test"), &exact),
            (Some("y.b.test"), &wild),
            (Some("Y.B.test"), &wild),
            (Some("b.test"), &first),
            (Some("y.x.b.test"), &first),
            (Some("nobody"), &first),
            (Some(""), &first),
        ] {
            assert!(Arc::ptr_eq(&table.of(host)[0], &shown.1), "{host:?} is shown {}", shown.0);
        }
        assert_eq!(table.of(Some("x.b.test")).len(), 2, "a second one of the same name is kept");
    }
}
