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
}
