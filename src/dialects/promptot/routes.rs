//! Which path is which route. Nothing else.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

/// The routes of this API, in its own order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The compiled text.
    Compiled,
    /// Every prompt of the key's project.
    Prompts,
    /// The frozen delivery shape.
    Prompt,
    /// Any other path.
    Unknown,
}

impl Route {
    /// The path as metrics name it.
    pub const fn template(self) -> &'static str {
        match self {
            Self::Compiled => "/api/v1/prompts/{prompt}/compiled",
            Self::Prompts => "/api/v1/prompts",
            Self::Prompt => "/api/v1/prompts/{prompt}",
            Self::Unknown => "unknown",
        }
    }

    /// The value of `Allow`.
    pub const fn allow(self) -> &'static str {
        match self {
            Self::Compiled => "GET, HEAD, QUERY",
            Self::Prompts | Self::Prompt => "GET, HEAD",
            Self::Unknown => "",
        }
    }

    /// Whether the route answers this method.
    pub fn allows(self, method: &Method) -> bool {
        self.allow().split(", ").any(|allowed| allowed == method.as_str())
    }
}

/// The route of a path, and the prompt it names, decoded.
pub fn find(path: &str) -> (Route, Cow<'_, str>) {
    const NONE: Cow<'_, str> = Cow::Borrowed("");
    let Some(below) = path.strip_prefix("/api/v1/prompts") else {
        return (Route::Unknown, NONE);
    };
    if below.is_empty() {
        return (Route::Prompts, NONE);
    }
    let mut segments = below.split('/').skip(1);
    let route = match (below.starts_with('/'), segments.next(), segments.next(), segments.next()) {
        (true, Some(prompt), None, None) if !prompt.is_empty() => (Route::Prompt, prompt),
        (true, Some(prompt), Some("compiled"), None) if !prompt.is_empty() => {
            (Route::Compiled, prompt)
        }
        _ => return (Route::Unknown, NONE),
    };
    (route.0, percent_decode_str(route.1).decode_utf8_lossy())
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_leads_to_one_route() {
        for (path, route, prompt) in [
            ("/api/v1/prompts", Route::Prompts, ""),
            ("/api/v1/prompts/greeting", Route::Prompt, "greeting"),
            ("/api/v1/prompts/gree%74ing", Route::Prompt, "greeting"),
            ("/api/v1/prompts/greeting/compiled", Route::Compiled, "greeting"),
            ("/api/v1/prompts/", Route::Unknown, ""),
            ("/api/v1/promptsx", Route::Unknown, ""),
            ("/api/v1/prompts//compiled", Route::Unknown, ""),
            ("/api/v1/prompts/greeting/compiled/", Route::Unknown, ""),
            ("/api/v1/prompts/greeting/other", Route::Unknown, ""),
            ("/", Route::Unknown, ""),
            ("*", Route::Unknown, ""),
        ] {
            assert_eq!(find(path), (route, prompt.into()), "of {path}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_found_however_strange(name in any::<String>()) {
            let escaped = utf8_percent_encode(&name, NON_ALPHANUMERIC);
            let route = |route| if name.is_empty() { Route::Unknown } else { route };

            let prompt = format!("/api/v1/prompts/{escaped}");
            prop_assert_eq!(find(&prompt), (route(Route::Prompt), name.as_str().into()));
            let compiled = format!("/api/v1/prompts/{escaped}/compiled");
            prop_assert_eq!(find(&compiled), (route(Route::Compiled), name.as_str().into()));
        }

        #[test]
        fn no_path_panics_and_only_a_known_one_names_a_prompt(
            path in r"(/|/api/v1/prompts|/compiled|%|%[0-9a-f]{2}|[a-z.*]|\PC){0,12}",
        ) {
            let (route, prompt) = find(&path);

            prop_assert_eq!(matches!(route, Route::Prompt | Route::Compiled), !prompt.is_empty());
            prop_assert!(path.starts_with("/api/v1/prompts") || route == Route::Unknown);
        }
    }
}
