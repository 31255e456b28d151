//! The two bodies of this API. Their fields are in `formats::edition`, where the other edge reads
//! them.

use crate::delivery::{ListShape, Page, Shape, Shaped, View};
use crate::formats::edition;
use crate::model::Listed;
use crate::wire::ETag;

/// `GET /edge/v1/prompts/{prompt}`.
pub struct Edition;

impl Shape for Edition {
    fn name(&self) -> &'static str {
        "edge/edition"
    }

    fn view(&self) -> Option<View> {
        None
    }

    fn write(&self, page: &Page<'_>) -> Shaped {
        shaped(edition::write(page.edition))
    }
}

/// `GET /edge/v1/prompts`.
pub struct Prompts;

impl ListShape for Prompts {
    fn name(&self) -> &'static str {
        "edge/prompts"
    }

    fn write(&self, listed: &[Listed]) -> Shaped {
        shaped(edition::write_list(listed))
    }
}

fn shaped(body: Vec<u8>) -> Shaped {
    Shaped { etag: ETag::of(&body), body }
}
