//! Whom a client certificate names.
//!
//! A URI among the certificate's alternative names (RFC 5280 §4.2.1.6) says so, in one of two forms:
//!
//! ```text
//! prompt-edge:PROJECT/ENVIRONMENT
//! spiffe://TRUST_DOMAIN/prompt-edge/PROJECT/ENVIRONMENT
//! ```
//!
//! A URI, because the other names of a certificate mean something already: a host, a person. Which
//! trust domain it is does not count: the authority vouches for it. Both names are percent-encoded
//! where RFC 3986 asks for it. A certificate with two such names has none.

use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::access::Identity;
use crate::model::Timestamp;

/// That a certificate has ended since it was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended;

/// Whom a verified certificate names, if it names somebody.
///
/// # Errors
///
/// If it has ended: a resumed session brings the certificate of the handshake it began with, which
/// nobody verifies again.
pub(super) fn of(
    certificate: &CertificateDer<'_>,
    now: Timestamp,
) -> Result<Option<Identity>, Ended> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Ok(None) };
    let expires_at = certificate.validity().not_after.timestamp().saturating_mul(1_000);
    if expires_at < now.as_millis() {
        return Err(Ended);
    }
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Ok(None) };
    let uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        GeneralName::DNSName(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::IPAddress(_)
        | GeneralName::Invalid(..)
        | GeneralName::OtherName(..)
        | GeneralName::RFC822Name(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::X400Address(_) => None,
    });
    let mut named = uris.filter_map(named);
    Ok(named.next().filter(|_| named.next().is_none()))
}

/// Whom a URI names.
fn named(uri: &str) -> Option<Identity> {
    let path = match uri.strip_prefix("prompt-edge:") {
        Some(path) => path,
        None => {
            let (_, path) = uri.strip_prefix("spiffe://")?.split_once('/')?;
            path.strip_prefix("prompt-edge/")?
        }
    };
    let (project, environment) = path.split_once('/')?;
    Some(Identity::new(&decoded(project)?, &decoded(environment)?))
}

/// One name out of a URI's path.
fn decoded(part: &str) -> Option<String> {
    let is_hex = |escape: &str| {
        escape.get(..2).is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let is_whole = part.split('%').skip(1).all(is_hex) && !part.contains(['/', '?', '#']);
    let name = percent_decode_str(part).decode_utf8().ok().filter(|_| is_whole)?;
    let is_name = (1..=LONGEST_NAME).contains(&name.len()) && !name.contains(char::is_control);
    is_name.then(|| name.into_owned())
}

/// In bytes: a project's name has 64 characters at the most.
const LONGEST_NAME: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    /// Made by the commands in README.md, with OpenSSL 3.0; it ends in 2126.
    const MADE_BY_OPENSSL: &str = "\
-----BEGIN CERTIFICATE-----
MIIBoTCCAUegAwIBAgIUYvUgSPAsP6Dvp8oBNTUddzOSgIYwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHY2FsbGVyczAgFw0yNjExMjIwODU0MDhaGA8yMTI2MTAyOTA4
NTQwOFowEjEQMA4GA1UEAwwHYmlsbGluZzBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABIz9LW0ON/UZlAKkkz5dwAZEQmVT7dgq2lcAdDKj60UQfjOvzdDPJ4p/Znc2
qisl1S0Y+pbjbG6/2TEaJJAVupijeTB3MCAGA1UdEQQZMBeGFXByb21wdC1lZGdl
OmFjbWUvbGl2ZTATBgNVHSUEDDAKBggrBgEFBQcDAjAdBgNVHQ4EFgQUuASjrZCL
/83kP4qHjyZNa93ZM6owHwYDVR0jBBgwFoAUbRyxcBs2xeZQH0FQJIYLMdItb2Ew
CgYIKoZIzj0EAwIDSAAwRQIhALwKUC6WP6wQb3DRR3Se/TyFN3rKoiN0IQN13ca3
SE8eAiBUbA/0JGSmG0ze41PqysSo77UHVD8IFll3YsaYjXvgZA==
-----END CERTIFICATE-----";

    #[test]
    fn a_certificate_made_by_openssl_names_whom_it_should() {
        let certificate = CertificateDer::from_pem_slice(MADE_BY_OPENSSL.as_bytes()).unwrap();
        let end = Timestamp::parse("2126-10-29T08:54:08Z").unwrap();
        let second = std::time::Duration::from_secs(1);

        assert_eq!(of(&certificate, end), Ok(Some(Identity::new("acme", "live"))));
        assert_eq!(of(&certificate, end.plus(second)), Err(Ended));
    }

    #[test]
    fn a_name_is_read_in_both_forms() {
        for (uri, project, environment) in [
            ("prompt-edge:acme/live", "acme", "live"),
            ("prompt-edge:Acme%20%26%20S%C3%B6hne/dev", "Acme & Söhne", "dev"),
            ("prompt-edge:a%2Fb/live", "a/b", "live"),
            ("spiffe://corp.example/prompt-edge/acme/live", "acme", "live"),
        ] {
            assert_eq!(named(uri), Some(Identity::new(project, environment)), "{uri}");
        }
    }

    #[test]
    fn anything_else_names_nobody() {
        let long = format!("prompt-edge:{}/live", "x".repeat(257));
        for uri in [
            "",
            "prompt-edge:",
            "prompt-edge:acme",
            "prompt-edge:/live",
            "prompt-edge:acme/",
            "prompt-edge:acme/live/",
            "prompt-edge:acme/live/more",
            "prompt-edge://acme/live",
            "prompt-edge:acme/live?as=admin",
            "prompt-edge:acme/live#x",
            "prompt-edge:acme%/live",
            "prompt-edge:acme%2/live",
            "prompt-edge:acme%zz/live",
            "prompt-edge:%FF/live",
            "prompt-edge:acme%00/live",
            "prompt-edge-other:acme/live",
            "https://prompt-edge/acme/live",
            "spiffe://prompt-edge/acme/live",
            "spiffe://corp.example/other/acme/live",
            "spiffe://corp.example/ns/prompt-edge/acme/live",
            &long,
        ] {
            assert_eq!(named(uri), None, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn every_name_survives_its_uri(project in "[^\\p{Cc}]{1,64}", environment in "[a-z]{1,9}") {
            let all = percent_encoding::NON_ALPHANUMERIC;
            let encoded = percent_encoding::utf8_percent_encode(&project, all);

            let read = named(&format!("prompt-edge:{encoded}/{environment}"));

            prop_assert_eq!(read, Some(Identity::new(&project, &environment)));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(of(&CertificateDer::from(bytes), Timestamp::default()), Ok(None));
        }
    }
}
