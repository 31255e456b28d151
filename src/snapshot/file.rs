//! The file that a snapshot is kept in.
//!
//! ```text
//! plain      magic ‖ version ‖ flags ‖ length ‖ payload ‖ SHA-256 of all before it
//! encrypted  magic ‖ version ‖ flags ‖ length ‖ nonce ‖ AES-256-GCM of the payload ‖ tag
//!            8       2         2       8        12                                   16
//! ```
//!
//! Numbers are big-endian. The first 20 bytes are authenticated with the payload.
//!
//! # Invariants
//!
//! 1. Whoever opens the path finds the whole of the last snapshot that was written, or of the one
//!    before: a file is written beside it, flushed, and only then takes its name.
//!    (`a_killed_write_leaves_the_last_snapshot_whole` in `tests/integration/snapshot.rs`)
//! 2. What is not as it was written is not used.
//!    (`tests::a_flipped_bit_is_noticed_wherever_it_is`)
//! 3. A file that is no snapshot is never replaced by one: whoever names the store's file by mistake
//!    loses nothing. (`tests::what_is_no_snapshot_is_never_replaced`)

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use sha2::{Digest, Sha256};

/// The key that a snapshot is encrypted with. Never printed.
pub struct Key(RandomizedNonceKey);

impl Key {
    /// A key of AES-256: 32 random bytes.
    #[expect(clippy::expect_used, reason = "the array is as long as a key")]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(RandomizedNonceKey::new(&AES_256_GCM, bytes).expect("32 bytes are a key of AES-256"))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Why there is no snapshot to be had from a file. Each of them means a cold start.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// There is no file: nothing was saved yet.
    #[error("there is no snapshot")]
    Absent,

    /// Its checksum is not that of its content.
    #[error("the snapshot is damaged")]
    Damaged,

    /// It is something else.
    #[error("the file is not a snapshot")]
    Foreign,

    /// It is encrypted, and no key is configured.
    #[error("the snapshot is encrypted: set `snapshot.key`")]
    KeyNeeded,

    /// It was encrypted with another key, or is damaged: with encryption that is the same.
    #[error("the key does not open the snapshot")]
    KeyWrong,

    /// A later version of this program wrote it.
    #[error("the snapshot has format {version}, this version reads {VERSION}")]
    Newer {
        /// The format's version.
        version: u16,
    },

    /// It ends too early, or goes on after its end.
    #[error("the snapshot is not as long as it says")]
    Truncated,

    /// Whoever can write the file could have written it: with a key, only what is encrypted with it
    /// is believed.
    #[error("the snapshot is not encrypted, but a key is set")]
    Unencrypted,

    /// The file could not be read.
    #[error("the snapshot cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// Writes a snapshot, encrypted if there is a key. Only its owner can read the file. Blocks.
///
/// What a write that was killed left beside the file is removed. Of two processes that write the
/// same file at the same time, one may fail; the file stays whole.
///
/// # Errors
///
/// If the folder is not there or cannot be written to, if something other than a snapshot is there
/// in its place, or the payload is larger than 2 GiB. What was there before then stays as it is.
pub fn write(path: &Path, payload: &[u8], key: Option<&Key>) -> io::Result<()> {
    let (Some(name), Some(folder)) = (path.file_name(), path.parent()) else {
        return Err(io::Error::new(ErrorKind::InvalidInput, "a snapshot has the name of a file"));
    };
    // The parent of a bare name is empty, and means the working directory.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let prefix = format!(".{}.", name.to_string_lossy());
    refuse_to_replace_others(path)?;
    sweep(folder, &prefix)?;

    let sealed = seal(payload, key)?;
    let mut beside = tempfile::Builder::new().prefix(&prefix).suffix(SUFFIX).tempfile_in(folder)?;
    beside.write_all(&sealed)?;
    beside.as_file().sync_all()?;
    beside.persist(path).map_err(|failed| failed.error)?;
    // The new name is in the folder, so it is the folder that has to be flushed.
    File::open(folder)?.sync_all()
}

/// Reads a snapshot. Blocks.
///
/// # Errors
///
/// If there is none, or none that can be trusted to be what was written.
pub fn read(path: &Path, key: Option<&Key>) -> Result<Vec<u8>, Unusable> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Unusable::Absent),
        opened => opened?,
    };
    let mut start = Vec::new();
    (&mut file).take(HEADER_BYTES as u64).read_to_end(&mut start)?;
    let header = Header::parse(&start)?;
    let rest_bytes = header.rest_bytes(key)?;

    // No file makes the process take more memory than it is long, or than a snapshot can be.
    let mut rest = Vec::new();
    file.take(rest_bytes.saturating_add(1)).read_to_end(&mut rest)?;
    if rest.len() as u64 != rest_bytes {
        return Err(Unusable::Truncated);
    }
    match key {
        Some(Key(key)) => open(key, &start, rest),
        None => check(&start, rest),
    }
}

/// Fails if there is a file with something else in it.
fn refuse_to_replace_others(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut start = Vec::new();
    file.take(MAGIC.len() as u64).read_to_end(&mut start)?;
    match start.is_empty() || start == MAGIC {
        true => Ok(()),
        false => Err(io::Error::new(
            ErrorKind::AlreadyExists,
            "the file that is there is no snapshot: move it, or set another `snapshot.path`",
        )),
    }
}

/// Removes what writes that were killed have left.
fn sweep(folder: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(prefix) && name.ends_with(SUFFIX) {
            match fs::remove_file(entry.path()) {
                // Somebody else was faster.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
    }
    Ok(())
}

/// The bytes of the file.
fn seal(payload: &[u8], key: Option<&Key>) -> io::Result<Vec<u8>> {
    let header = Header { is_encrypted: key.is_some(), length: payload.len() as u64 };
    if header.length > MOST_BYTES {
        return Err(io::Error::new(ErrorKind::InvalidInput, "a snapshot has at most 2 GiB"));
    }
    let mut sealed = Vec::with_capacity(HEADER_BYTES + SUM_BYTES + payload.len());
    sealed.extend(header.bytes());
    let Some(Key(key)) = key else {
        sealed.extend(payload);
        let sum = Sha256::digest(&sealed);
        sealed.extend(sum);
        return Ok(sealed);
    };
    let mut text = payload.to_vec();
    let nonce = key
        .seal_in_place_append_tag(Aad::from(&sealed), &mut text)
        .map_err(|_| io::Error::other("the snapshot cannot be encrypted"))?;
    sealed.extend(nonce.as_ref());
    sealed.extend(text);
    Ok(sealed)
}

/// The payload of an encrypted file.
fn open(key: &RandomizedNonceKey, header: &[u8], mut rest: Vec<u8>) -> Result<Vec<u8>, Unusable> {
    // It is as long as its header says, so there is a nonce.
    let mut text = rest.split_off(NONCE_BYTES);
    let nonce = Nonce::try_assume_unique_for_key(&rest).map_err(|_| Unusable::Truncated)?;
    let opened = key.open_in_place(nonce, Aad::from(header), &mut text);
    let length = opened.map_err(|_| Unusable::KeyWrong)?.len();
    text.truncate(length);
    Ok(text)
}

/// The payload of a plain file.
fn check(header: &[u8], mut rest: Vec<u8>) -> Result<Vec<u8>, Unusable> {
    let sum = rest.split_off(rest.len().saturating_sub(SUM_BYTES));
    let expected = Sha256::new().chain_update(header).chain_update(&rest).finalize();
    match expected[..] == sum {
        true => Ok(rest),
        false => Err(Unusable::Damaged),
    }
}

/// What the file says of itself.
#[derive(Clone, Copy)]
struct Header {
    is_encrypted: bool,
    /// Of the payload, in bytes.
    length: u64,
}

impl Header {
    fn bytes(self) -> Vec<u8> {
        let flags = u16::from(self.is_encrypted);
        [&MAGIC[..], &VERSION.to_be_bytes(), &flags.to_be_bytes(), &self.length.to_be_bytes()]
            .concat()
    }

    fn parse(bytes: &[u8]) -> Result<Self, Unusable> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(Unusable::Foreign)?;
        let (version, rest) = rest.split_first_chunk().ok_or(Unusable::Truncated)?;
        match u16::from_be_bytes(*version) {
            0 => return Err(Unusable::Foreign),
            VERSION => {}
            version => return Err(Unusable::Newer { version }),
        }
        let (flags, rest) = rest.split_first_chunk().ok_or(Unusable::Truncated)?;
        let is_encrypted = match u16::from_be_bytes(*flags) {
            0 => false,
            1 => true,
            _ => return Err(Unusable::Damaged),
        };
        let (length, _) = rest.split_first_chunk().ok_or(Unusable::Truncated)?;
        Ok(Self { is_encrypted, length: u64::from_be_bytes(*length) })
    }

    /// How many bytes follow the header, if the key is right for the file.
    fn rest_bytes(self, key: Option<&Key>) -> Result<u64, Unusable> {
        if self.length > MOST_BYTES {
            return Err(Unusable::Truncated);
        }
        match (self.is_encrypted, key) {
            (true, Some(_)) => Ok(self.length + (NONCE_BYTES + TAG_BYTES) as u64),
            (true, None) => Err(Unusable::KeyNeeded),
            (false, Some(_)) => Err(Unusable::Unencrypted),
            (false, None) => Ok(self.length + SUM_BYTES as u64),
        }
    }
}

const MAGIC: [u8; 8] = *b"pe-snap\n";

/// Counts up with every change to the file or to what is in it. A file of another version is not
/// read: what it lost is asked for again.
const VERSION: u16 = 1;

const HEADER_BYTES: usize = 20;
const NONCE_BYTES: usize = 12;
const SUM_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// Far more than the caches hold. No length in a damaged file can ask for more memory.
const MOST_BYTES: u64 = 2 << 30;

/// How the names of files end that are being written.
const SUFFIX: &str = ".tmp";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    const PAYLOAD: &[u8] = b"what is kept";

    fn key(byte: u8) -> Key {
        Key::new(&[byte; 32])
    }

    /// A folder, and the path of a snapshot in it.
    fn folder() -> (TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge.snapshot");
        (folder, path)
    }

    /// What comes of a file with these bytes.
    fn found(bytes: &[u8], key: Option<&Key>) -> Result<Vec<u8>, Unusable> {
        let (_folder, path) = folder();
        fs::write(&path, bytes).unwrap();
        read(&path, key)
    }

    /// The bytes of a file, sealed with this key.
    fn file(key: Option<&Key>) -> Vec<u8> {
        seal(PAYLOAD, key).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        for key in [None, Some(&key(1))] {
            let (_folder, path) = folder();

            for payload in [&b"before"[..], b"", PAYLOAD] {
                write(&path, payload, key).unwrap();

                assert_eq!(read(&path, key).unwrap(), payload);
            }
        }
    }

    #[test]
    fn a_snapshot_is_its_owners_and_the_only_file_left() {
        let (folder, path) = folder();
        fs::write(folder.path().join(".edge.snapshot.a1b2c3.tmp"), "killed").unwrap();
        fs::write(folder.path().join("other.tmp"), "not ours").unwrap();

        write(&path, PAYLOAD, None).unwrap();

        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["edge.snapshot", "other.tmp"]);
    }

    #[test]
    fn a_write_that_fails_leaves_the_snapshot_before_it() {
        let (folder, path) = folder();
        write(&path, PAYLOAD, None).unwrap();

        assert!(write(&folder.path().join("missing/edge.snapshot"), b"", None).is_err());
        assert!(write(Path::new("/"), b"", None).is_err());

        assert_eq!(read(&path, None).unwrap(), PAYLOAD);
    }

    #[test]
    fn what_is_no_snapshot_is_never_replaced() {
        let (_folder, path) = folder();
        fs::write(&path, "SQLite format 3\0").unwrap();

        let refused = write(&path, PAYLOAD, None).unwrap_err().to_string();

        assert!(refused.contains("set another `snapshot.path`"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"SQLite format 3\0");
        fs::write(&path, "").unwrap();
        write(&path, PAYLOAD, None).unwrap();
        assert_eq!(read(&path, None).unwrap(), PAYLOAD);
    }

    #[test]
    fn an_encrypted_snapshot_shows_nothing_and_never_looks_the_same() {
        let key = key(1);

        let [first, second] = [file(Some(&key)), file(Some(&key))];

        assert!(!first.windows(4).any(|window| PAYLOAD.windows(4).any(|text| text == window)));
        assert_ne!(first, second);
    }

    #[test]
    fn a_file_that_cannot_be_used_says_why() {
        let (right, wrong) = (key(1), key(2));
        let (plain, encrypted) = (file(None), file(Some(&right)));
        let with = |place: usize, byte: u8| {
            let mut bytes = plain.clone();
            bytes[place] = byte;
            bytes
        };
        let longer = [&plain[..], b"!"].concat();

        for (bytes, key, reason) in [
            (&b"SQLite format 3\0"[..], None, "the file is not a snapshot"),
            (b"", None, "the file is not a snapshot"),
            (&plain[..8], None, "the snapshot is not as long as it says"),
            (&plain[..HEADER_BYTES], None, "the snapshot is not as long as it says"),
            (&plain[..plain.len() - 1], None, "the snapshot is not as long as it says"),
            (&longer, None, "the snapshot is not as long as it says"),
            (&with(12, 0xff), None, "the snapshot is not as long as it says"),
            (&with(9, 2), None, "the snapshot has format 2, this version reads 1"),
            (&with(9, 0), None, "the file is not a snapshot"),
            (&with(11, 2), None, "the snapshot is damaged"),
            (&with(HEADER_BYTES, b'W'), None, "the snapshot is damaged"),
            (&plain, Some(&right), "the snapshot is not encrypted, but a key is set"),
            (&encrypted, None, "the snapshot is encrypted: set `snapshot.key`"),
            (&encrypted, Some(&wrong), "the key does not open the snapshot"),
        ] {
            assert_eq!(found(bytes, key).unwrap_err().to_string(), reason);
        }
        let (folder, path) = folder();
        assert!(matches!(read(&path, None), Err(Unusable::Absent)));
        assert!(matches!(read(folder.path(), None), Err(Unusable::Unreadable(_))));
    }

    #[test]
    fn a_flipped_bit_is_noticed_wherever_it_is() {
        for key in [None, Some(&key(1))] {
            let sound = file(key);
            for place in 0..sound.len() {
                for bit in 0..8 {
                    let mut bytes = sound.clone();
                    bytes[place] ^= 1 << bit;

                    assert!(found(&bytes, key).is_err(), "bit {bit} of byte {place} was flipped");
                }
            }
        }
    }

    #[test]
    fn a_key_is_never_printed() {
        assert_eq!(format!("{:?}", key(7)), "Key(…)");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), is_ours: bool) {
            let bytes = if is_ours { [&MAGIC[..], &[0, 1], &bytes].concat() } else { bytes };

            for key in [None, Some(&key(1))] {
                prop_assert!(found(&bytes, key).is_err());
            }
        }
    }
}
