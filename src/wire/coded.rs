//! The coded forms of a body: each made when it is first asked for, and kept beside it.

use std::io;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::wire::coding::{Coding, Codings};
use crate::wire::conditional::ETag;

/// One coded form.
#[derive(Debug)]
pub struct Form {
    /// The coded body.
    pub body: Bytes,
    /// Its tag.
    pub etag: ETag,
}

/// What there is of a coding.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// A form.
    Form(&'a Form),
    /// None so far, and nobody makes one.
    Missing,
    /// None: it is being made, or does not save enough to be sent.
    Nothing,
}

/// The coded forms of one body. Takes two words until one of them is asked for.
#[derive(Debug, Default)]
pub struct Coded(OnceLock<Box<Forms>>);

#[derive(Debug, Default)]
struct Forms {
    /// Those that somebody makes or has made: `Codings`, as bits.
    claimed: AtomicU8,
    /// By coding; `None` does not save enough.
    made: [OnceLock<Option<Form>>; Coding::ALL.len()],
}

impl Forms {
    fn place(&self, coding: Coding) -> Option<&OnceLock<Option<Form>>> {
        let place = Coding::ALL.iter().position(|its| *its == coding)?;
        self.made.get(place)
    }
}

impl Coded {
    /// What there is of a coding. Of identity there is nothing.
    pub fn find(&self, coding: Coding) -> Found<'_> {
        if coding == Coding::Identity {
            return Found::Nothing;
        }
        let Some(forms) = self.0.get() else { return Found::Missing };
        match forms.place(coding).and_then(OnceLock::get) {
            Some(Some(form)) => Found::Form(form),
            Some(None) => Found::Nothing,
            None if Codings::of(forms.claimed.load(Ordering::Relaxed)).has(coding) => {
                Found::Nothing
            }
            None => Found::Missing,
        }
    }

    /// Whether it is up to the caller to make this form: of any number one is told so, once.
    pub fn claim(&self, coding: Coding) -> bool {
        let bit = Codings::default().with(coding).bits();
        let forms = self.0.get_or_init(Box::default);
        !Codings::of(forms.claimed.fetch_or(bit, Ordering::Relaxed)).has(coding)
    }

    /// Makes a form of `body`, whose tag is `etag`, and keeps it. Returns whether there is one now.
    ///
    /// One that is not smaller by a twentieth is not kept, and not made again: it would cost the
    /// caller more to decode than it saves.
    ///
    /// # Cost
    ///
    /// Tenths of a millisecond: see [`encode`]. For a thread that may block.
    pub fn make(&self, coding: Coding, body: &[u8], etag: &ETag) -> bool {
        let bytes = encode(coding, body).ok().filter(|coded| saves(coded.len(), body.len()));
        let form =
            bytes.map(|bytes| Form { body: exactly(bytes).into(), etag: etag.coded(coding) });
        let is_made = form.is_some();
        let forms = self.0.get_or_init(Box::default);
        forms.place(coding).is_some_and(|place| place.set(form).is_ok()) && is_made
    }

    /// How many bytes hang from it.
    pub fn len_bytes(&self) -> usize {
        let Some(forms) = self.0.get() else { return 0 };
        let made = forms.made.iter().filter_map(|place| place.get()?.as_ref());
        size_of::<Forms>() + made.map(|form| form.body.len() + PARTS_BYTES).sum::<usize>()
    }
}

/// A form's tag of 49 bytes, and the bookkeeping of both allocations.
const PARTS_BYTES: usize = 96;

/// The same bytes in an allocation of their length.
///
/// To shrink one is not enough: allocators, mimalloc among them, leave it in its place as long as less
/// than half of it is unused. An answer of 1 KiB that was written by doubling kept some 700 bytes so.
pub fn exactly(bytes: Vec<u8>) -> Box<[u8]> {
    if bytes.capacity() == bytes.len() { bytes.into() } else { bytes.as_slice().into() }
}

fn saves(coded: usize, plain: usize) -> bool {
    coded <= plain - plain / 20
}

/// Codes a body. Equal bytes are coded equally by every edge of one build.
///
/// The levels are where the next one costs much and saves next to nothing. Of 61 prompts as answers
/// of 1 to 71 KiB (4.9 KiB on average, one busy core, 2026-11-22):
///
/// | coding | level  | size   | an answer | a level above, and one below               |
/// |--------|--------|--------|-----------|--------------------------------------------|
/// | gzip   | 6      | 40.1 % | 89 µs     | 9: 40.0 %, 135 µs; 4: 40.5 %, 77 µs        |
/// | br     | 5      | 37.3 % | 171 µs    | 9: 37.1 %, 3,830 µs; 4: 39.5 %, 128 µs     |
/// | zstd   | 9      | 39.7 % | 104 µs    | 19: 38.9 %, 864 µs; 3: 41.4 %, 48 µs       |
///
/// The levels of zstd from 20 on are out of the question: their windows exceed 8 MiB (RFC 9659).
///
/// # Errors
///
/// None that could come about: everything is written to memory.
pub fn encode(coding: Coding, body: &[u8]) -> io::Result<Vec<u8>> {
    match coding {
        Coding::Identity => Ok(body.to_vec()),
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
            encoder.write_all(body)?;
            encoder.finish()
        }
        Coding::Brotli => {
            let mut coded = Vec::new();
            let params =
                BrotliEncoderParams { quality: 5, size_hint: body.len(), ..Default::default() };
            brotli::BrotliCompress(&mut &*body, &mut coded, &params)?;
            Ok(coded)
        }
        Coding::Zstd => zstd::bulk::compress(body, 9),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn decoded(coding: Coding, coded: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match coding {
            Coding::Identity => plain.extend_from_slice(coded),
            Coding::Gzip => drop(GzDecoder::new(coded).read_to_end(&mut plain).unwrap()),
            Coding::Brotli => brotli::BrotliDecompress(&mut &*coded, &mut plain).unwrap(),
            Coding::Zstd => plain = zstd::stream::decode_all(coded).unwrap(),
        }
        plain
    }

    fn form(coded: &Coded, coding: Coding) -> Option<&Form> {
        match coded.find(coding) {
            Found::Form(form) => Some(form),
            Found::Missing | Found::Nothing => None,
        }
    }

    /// Bytes that nothing makes smaller: an xorshift's.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let next = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        next.flatten().take(len).collect()
    }

    #[test]
    fn a_form_is_made_by_one_and_found_by_all() {
        let (coded, body) = (Coded::default(), "a prompt, ".repeat(200).into_bytes());
        let tag = ETag::of(&body);

        for coding in Coding::ALL {
            assert!(matches!(coded.find(coding), Found::Missing));
            let claims = std::thread::scope(|threads| {
                let all: Vec<_> = (0..8).map(|_| threads.spawn(|| coded.claim(coding))).collect();
                all.into_iter().map(|one| one.join().unwrap()).filter(|won| *won).count()
            });
            assert_eq!(claims, 1);
            assert!(matches!(coded.find(coding), Found::Nothing), "it is being made");

            assert!(coded.make(coding, &body, &tag));

            let form = form(&coded, coding).unwrap();
            assert_eq!(decoded(coding, &form.body), body);
            assert_eq!(form.etag, tag.coded(coding));
            assert!(form.body.len() < body.len() / 2);
        }
    }

    #[test]
    fn what_saves_nothing_is_remembered_and_not_sent() {
        let (coded, body) = (Coded::default(), noise(4_096));

        for coding in Coding::ALL {
            assert!(coded.claim(coding));
            assert!(!coded.make(coding, &body, &ETag::of(&body)));

            assert!(matches!(coded.find(coding), Found::Nothing));
            assert!(!coded.claim(coding));
        }
        assert_eq!(coded.len_bytes(), size_of::<Forms>());
        assert!(saves(95, 100) && !saves(96, 100));
    }

    #[test]
    fn its_forms_count_and_nothing_counts_without_one() {
        let (coded, body) = (Coded::default(), vec![b'x'; 10_000]);
        assert_eq!((coded.len_bytes(), size_of::<Coded>()), (0, 2 * size_of::<usize>()));

        coded.make(Coding::Gzip, &body, &ETag::of(&body));

        let form = form(&coded, Coding::Gzip).unwrap();
        assert_eq!(coded.len_bytes(), size_of::<Forms>() + form.body.len() + PARTS_BYTES);
        assert!(form.etag.as_str().len() + 4 * size_of::<usize>() <= PARTS_BYTES);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn decoding_gives_what_was_coded(
            words in proptest::collection::vec("\\PC{0,30}", 0..200),
            times in 1..50_usize,
        ) {
            let body = words.concat().repeat(times).into_bytes();
            for coding in [Coding::Identity, Coding::Gzip, Coding::Brotli, Coding::Zstd] {
                let coded = encode(coding, &body).unwrap();
                prop_assert_eq!(decoded(coding, &coded), body.clone());
                prop_assert_eq!(encode(coding, &body).unwrap(), coded, "twice is the same");
            }
        }
    }

    /// RFC 9659: a decoder need not have more than 8 MiB.
    #[test]
    fn a_long_body_is_coded_within_the_window_of_browsers() {
        let body = [noise(1 << 20), noise(1 << 20)].concat().repeat(5);

        let coded = encode(Coding::Zstd, &body).unwrap();

        let mut decoder = zstd::stream::read::Decoder::new(&*coded).unwrap();
        decoder.window_log_max(23).unwrap();
        let mut plain = Vec::new();
        decoder.read_to_end(&mut plain).unwrap();
        assert!(plain == body);
    }
}
