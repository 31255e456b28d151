//! Which path is which route. Nothing else.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

/// The routes of this API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Every prompt that the key's environment serves.
    Prompts,
    /// One prompt's version.
    Prompt,
    /// Any other path.
    Unknown,
}

impl Route {
    /// The path as metrics name it.
    pub const fn template(self) -> &'static str {
        match self {
            Self::Prompts => "/edge/v1/prompts",
            Self::Prompt => "/edge/v1/prompts/{prompt}",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the route answers this method.
    pub fn allows(self, method: &Method) -> bool {
        matches!(*method, Method::GET | Method::HEAD)
    }
}

/// The value of `Allow` on every route.
pub const ALLOW: &str = "GET, HEAD";

/// Whether a path belongs to this API, whether or not there is such a route.
pub fn owns(path: &str) -> bool {
    path.strip_prefix("/edge/v1").is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// The route of a path, and the prompt it names, decoded. A prompt's name is one segment: a slash in
/// it is escaped.
pub fn find(path: &str) -> (Route, Cow<'_, str>) {
    const NONE: Cow<'_, str> = Cow::Borrowed("");
    let Some(below) = path.strip_prefix("/edge/v1/prompts") else {
        return (Route::Unknown, NONE);
    };
    match below.strip_prefix('/') {
        None if below.is_empty() => (Route::Prompts, NONE),
        Some(prompt) if !prompt.is_empty() && !prompt.contains('/') => {
            (Route::Prompt, percent_decode_str(prompt).decode_utf8_lossy())
        }
        Some(_) | None => (Route::Unknown, NONE),
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_leads_to_one_route() {
        for (path, route, prompt) in [
            ("/edge/v1/prompts", Route::Prompts, ""),
            ("/edge/v1/prompts/greeting", Route::Prompt, "greeting"),
            ("/edge/v1/prompts/chat%2Ffirst%20contact", Route::Prompt, "chat/first contact"),
            ("/edge/v1/prompts/", Route::Unknown, ""),
            ("/edge/v1/prompts/chat/first", Route::Unknown, ""),
            ("/edge/v1/promptsx", Route::Unknown, ""),
            ("/edge/v1", Route::Unknown, ""),
        ] {
            assert_eq!(find(path), (route, prompt.into()), "of {path}");
            assert!(owns(path), "of {path}");
        }
    }

    #[test]
    fn other_paths_are_of_other_apis() {
        for path in
            ["/", "*", "/edge", "/edge/v10/prompts", "/%65dge/v1/prompts", "/api/v1/prompts"]
        {
            assert!(!owns(path), "of {path}");
            assert_eq!(find(path), (Route::Unknown, "".into()), "of {path}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_found_however_strange(name in any::<String>()) {
            let path = format!("/edge/v1/prompts/{}", utf8_percent_encode(&name, NON_ALPHANUMERIC));
            let route = if name.is_empty() { Route::Unknown } else { Route::Prompt };

            prop_assert!(owns(&path));
            prop_assert_eq!(find(&path), (route, name.as_str().into()));
        }

        #[test]
        fn no_path_panics_and_every_route_is_owned(
            path in r"(/|/edge/v1|/prompts|%|%[0-9a-f]{2}|[a-z.*]|\PC){0,12}",
        ) {
            let (route, prompt) = find(&path);

            prop_assert!(owns(&path) || (route, &*prompt) == (Route::Unknown, ""));
        }
    }
}
