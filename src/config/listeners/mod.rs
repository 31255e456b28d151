//! `[[listeners]]`: the doors for callers, one entry each.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::places::{self, PATH};
use crate::config::reader::Reader;
use crate::server::{Address, ListenerConfig, Serves, tls};

/// Reads `[[listeners]]`. Without an entry there is one listener, in clear text for all dialects, at
/// `server.listen`; with one, those of the entries are all there are.
pub(crate) fn all(reader: &mut Reader<'_>, listen: SocketAddr) -> Vec<ListenerConfig> {
    let entries = reader.entries("listeners");
    if entries.is_empty() {
        return vec![ListenerConfig::clear(listen)];
    }
    reader.refuse_key(LISTEN, "as `listen` of one of [[listeners]], since there are some");
    let entries = entries.into_iter().filter_map(|path| Entry { reader, path }.read());
    entries.collect()
}

/// Refuses one address for two listeners, that of the operators included. Port 0 is a new port each
/// time.
pub(crate) fn refuse_a_shared_address(
    listeners: &[ListenerConfig],
    admin: SocketAddr,
    reader: &mut Reader<'_>,
) {
    let mut before = vec![("admin.listen".to_owned(), Address::Tcp(admin))];
    for listener in listeners {
        let path = key_of(listener, reader);
        let is_any_port = matches!(&listener.address, Address::Tcp(tcp) if tcp.port() == 0);
        let taken = before.iter().find(|(_, address)| *address == listener.address);
        if let (Some((other, address)), false) = (taken, is_any_port) {
            let expected = format!("different addresses for {path} and {other}");
            reader.refuse(&[other, &path], &address.to_string(), &expected);
        }
        before.push((path, listener.address.clone()));
    }
}

/// The key that a listener's address is set by.
fn key_of(listener: &ListenerConfig, reader: &Reader<'_>) -> String {
    let path = format!("listeners.{}.listen", listener.name);
    if reader.is_set(&path) { path } else { LISTEN.to_owned() }
}

/// One entry while it is read.
struct Entry<'r, 's> {
    reader: &'r mut Reader<'s>,
    path: String,
}

impl Entry<'_, '_> {
    fn read(mut self) -> Option<ListenerConfig> {
        let name = self.name();
        let listen = self.at("listen");
        self.reader.require(&self.path, "listen", ADDRESS);
        let address = self.reader.text(listen, ADDRESS, address);
        let serves = self.serves();
        let tls = self.tls();
        Some(ListenerConfig { name: name?, address: address?, serves, tls })
    }

    fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn name(&mut self) -> Option<String> {
        let path = self.at("name");
        let name = self
            .reader
            .text(path.clone(), NAME, |text| is_name(text).then(|| text.to_owned()).ok_or(NAME));
        self.reader.require(&self.path, "name", NAME);
        // Of two entries with one name, the second is not known by it.
        match name {
            Some(name) if self.path != format!("listeners.{name}") => {
                self.reader.refuse(&[&path], &name, "a name that no listener before it has");
                None
            }
            name => name,
        }
    }

    fn serves(&mut self) -> Serves {
        let path = self.at("dialects");
        let words = self.reader.list(path.clone(), DIALECTS, |text| {
            matches!(text, EDGE | PROMPTOT).then(|| text.to_owned())
        });
        let has = |dialect: &str| words.iter().any(|word| word == dialect);
        if words.is_empty() {
            // Of a list that does not fit, something is said already.
            if self.reader.is_set(&path) {
                self.reader.refuse(&[&path], "[]", DIALECTS);
            }
            return Serves::ALL;
        }
        Serves { edge: has(EDGE), promptot: has(PROMPTOT) }
    }

    fn tls(&mut self) -> Option<tls::Config> {
        let [certificates, keys] = ["certificates", "private_keys"].map(|key| self.at(key));
        let chains = self.paths(&certificates);
        let private = self.paths(&keys);
        if chains.len() != private.len() {
            let found = format!("{} and {}", chains.len(), private.len());
            let expected = "as many private_keys as certificates, in the same order";
            self.reader.refuse(&[&certificates, &keys], &found, expected);
        }
        let ca = self.at("client_ca");
        let client_ca = self.reader.text(ca.clone(), PATH, places::path);
        if chains.is_empty() {
            self.reader.refuse_key(&ca, "beside certificates and private_keys");
        }
        let demand = self.at("client_certificates");
        if client_ca.is_none() {
            self.reader.refuse_key(&demand, "beside client_ca");
        }
        let is_client_optional =
            self.reader.choice(demand, false, &[("required", false), ("optional", true)]);
        let certificates: Vec<_> = chains.into_iter().zip(private).collect();
        (!certificates.is_empty()).then_some(tls::Config {
            certificates,
            client_ca,
            is_client_optional,
        })
    }

    fn paths(&mut self, path: &str) -> Vec<PathBuf> {
        self.reader.list(path.to_owned(), PATHS, |text| places::path(text).ok())
    }
}

fn is_name(text: &str) -> bool {
    let is_allowed =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    let is_reserved = text == ListenerConfig::DEFAULT;
    (1..=32).contains(&text.len()) && text.bytes().all(is_allowed) && !is_reserved
}

fn address(text: &str) -> Result<Address, &'static str> {
    if let Some(path) = text.strip_prefix("unix:") {
        // One byte of the system's 108 ends the path.
        let is_path = path.starts_with('/') && path.len() < 108 && !path.contains('\0');
        return is_path.then(|| Address::Unix(path.into())).ok_or(ADDRESS);
    }
    if let Some(name) = text.strip_prefix("systemd:") {
        // As `FileDescriptorName=` has it (systemd.socket(5)).
        let is_allowed = |b: u8| b.is_ascii_graphic() && b != b':';
        let is_name = (1..=255).contains(&name.len()) && name.bytes().all(is_allowed);
        return is_name.then(|| Address::Systemd(name.to_owned())).ok_or(ADDRESS);
    }
    text.parse().map(Address::Tcp).map_err(|_| ADDRESS)
}

const LISTEN: &str = "server.listen";
const EDGE: &str = "edge";
const PROMPTOT: &str = "promptot";

const NAME: &str =
    "a name of 1 to 32 lower-case letters, digits, dashes and underscores, other than default";
const ADDRESS: &str = "an IP address and a port, unix:/path or systemd:NAME";
const DIALECTS: &str = "a list of one or both of promptot, edge";
const PATHS: &str = "a list of paths";

#[cfg(test)]
mod tests;
