//! Cutting a Markdown body at its headings, so that no byte is lost.

use std::ops::Range;

use pulldown_cmark::Event;
use pulldown_cmark::HeadingLevel;
use pulldown_cmark::Parser;
use pulldown_cmark::Tag;

/// A body, cut at its shallowest headings. The parts lie end to end.
pub(super) struct Sections<'a> {
    pub(super) preamble: &'a str,
    pub(super) sections: Vec<Section<'a>>,
}

impl<'a> Sections<'a> {
    /// Cuts a body. Without a heading all of it is preamble.
    pub(super) fn of(body: &'a str) -> Self {
        let headings = headings(body);
        let shallowest = headings.iter().map(|(level, _)| *level).min();
        let starts = headings.iter().filter(|(level, _)| Some(*level) == shallowest);

        // From the back: what is left after a cut begins where the body does, so the ranges of
        // the earlier headings still hold in it.
        let mut preamble = body;
        let mut sections = Vec::new();
        for (_, lines) in starts.rev() {
            let (before, section) = preamble.split_at(lines.start);
            let (heading, content) = section.split_at(lines.len());
            sections.push(Section { heading, content });
            preamble = before;
        }
        sections.reverse();
        Self { preamble, sections }
    }
}

/// A heading with its whole lines, and what follows it.
pub(super) struct Section<'a> {
    pub(super) heading: &'a str,
    pub(super) content: &'a str,
}

/// The level and whole lines of every heading that is not inside something else.
fn headings(body: &str) -> Vec<(HeadingLevel, Range<usize>)> {
    let mut headings = Vec::new();
    let mut depth = 0_usize;
    for (event, range) in Parser::new(body).into_offset_iter() {
        match event {
            Event::Start(tag) => {
                if let (0, Tag::Heading { level, .. }) = (depth, tag) {
                    headings.push((level, whole_lines(body, range)));
                }
                depth += 1;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(_)
            | Event::Code(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::Html(_)
            | Event::InlineHtml(_)
            | Event::FootnoteReference(_)
            | Event::SoftBreak
            | Event::HardBreak
            | Event::Rule
            | Event::TaskListMarker(_) => {}
        }
    }
    headings
}

/// Widens a heading's range to the start of its first line and past the break of its last one.
/// A line may end in `\n`, `\r\n` or, as CommonMark has it, in `\r` alone.
fn whole_lines(body: &str, range: Range<usize>) -> Range<usize> {
    let (before, rest) = body.split_at(range.start);
    let start = before.rfind(['\n', '\r']).map_or(0, |end_of_line| end_of_line + 1);

    let (heading, _) = rest.split_at(range.len());
    let text_end = range.start + heading.trim_end_matches(['\n', '\r']).len();
    let (_, tail) = body.split_at(text_end);
    let end = match tail.find(['\n', '\r']) {
        Some(at) if tail.split_at(at).1.starts_with("\r\n") => text_end + at + 2,
        Some(at) => text_end + at + 1,
        None => body.len(),
    };
    start..end
}

/// A heading's text without its markers; markup within it stays as it is written.
pub(super) fn title(heading: &str) -> String {
    let lines = heading.split(['\n', '\r']).map(|line| line.trim_matches(BLANKS));
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    match lines.as_slice() {
        [] => String::new(),
        [line] => {
            let text = line.trim_start_matches('#').trim_matches(BLANKS);
            // Closing marks count only after a blank: `# C#` is titled `C#`.
            let unclosed = text.trim_end_matches('#');
            let is_closed = unclosed.is_empty() || unclosed.ends_with(BLANKS);
            (if is_closed { unclosed } else { text }).trim().to_owned()
        }
        // More than one line: the last one underlines the others.
        [text @ .., _] => text.join(" ").trim().to_owned(),
    }
}

/// What CommonMark takes for a blank within a line.
const BLANKS: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A body's titles, each with the content below it; the preamble has none.
    fn cut(body: &str) -> Vec<(String, &str)> {
        let Sections { preamble, sections } = Sections::of(body);
        let titled = sections.iter().map(|section| (title(section.heading), section.content));
        [(String::new(), preamble)].into_iter().chain(titled).collect()
    }

    /// The titles alone.
    fn titles(body: &str) -> Vec<String> {
        cut(body).into_iter().skip(1).map(|(title, _)| title).collect()
    }

    fn put_together(body: &str) -> String {
        let Sections { preamble, sections } = Sections::of(body);
        let parts = sections.iter().flat_map(|section| [section.heading, section.content]);
        [preamble].into_iter().chain(parts).collect()
    }

    #[test]
    fn the_shallowest_headings_cut_and_deeper_ones_stay() {
        let body = "Intro\n\n## Role\nYou\n\n### Deeper\nare\n## Context\n";

        assert_eq!(
            cut(body),
            [
                (String::new(), "Intro\n\n"),
                ("Role".to_owned(), "You\n\n### Deeper\nare\n"),
                ("Context".to_owned(), ""),
            ]
        );
    }

    #[test]
    fn a_shallower_heading_further_down_still_decides_the_level() {
        assert_eq!(
            cut("## First\na\n# Second\nb\n"),
            [(String::new(), "## First\na\n"), ("Second".to_owned(), "b\n")]
        );
    }

    #[test]
    fn a_heading_in_a_code_fence_is_not_a_heading() {
        assert_eq!(titles("# One\n```sh\n# Not one\n```\n    # Nor this\n# Two\n"), ["One", "Two"]);
    }

    #[test]
    fn a_heading_in_a_quotation_or_a_list_cuts_nothing() {
        assert_eq!(titles("> # Quoted\n\n- # Listed\n\n## Real\n"), ["Real"]);
    }

    #[test]
    fn an_underlined_line_is_a_heading() {
        assert_eq!(
            cut("Role of\n  the model\n===\nYou\n\n#hash\n=\n"),
            [
                (String::new(), ""),
                ("Role of the model".to_owned(), "You\n\n"),
                ("#hash".to_owned(), ""),
            ]
        );
    }

    #[test]
    fn a_title_keeps_what_is_written_between_the_markers() {
        for (heading, expected) in [
            ("# IDENTITY and PURPOSE ", "IDENTITY and PURPOSE"),
            ("   ## Use `{{Hostname}}` *well* ##\n", "Use `{{Hostname}}` *well*"),
            ("# \\{{name}}\r\n", "\\{{name}}"),
            ("# C#\n", "C#"),
            ("# a \\#\n", "a \\#"),
            ("#\n", ""),
            ("## ##\n", ""),
        ] {
            assert_eq!(titles(heading), [expected], "of {heading:?}");
        }
    }

    #[test]
    fn every_kind_of_line_break_ends_a_heading() {
        for line_break in ["\n", "\r\n", "\r"] {
            let body = ["a", "", "# B", "c", "# D", "e"].join(line_break);
            let expected = format!("c{line_break}");

            assert_eq!(titles(&body), ["B", "D"], "with {line_break:?}");
            assert_eq!(cut(&body)[1].1, expected, "with {line_break:?}");
        }
    }

    /// Lines that mean something to a Markdown parser, and some that do not.
    fn line() -> impl Strategy<Value = String> {
        let start = prop::sample::select(vec![
            "", "", "# ", "## ", "### ", "#", "```", "~~~", "---", "===", "-", "- ", "> ", "    ",
            "\t", " ", "1. ", "<div>", "</div>", "<!--", "-->", "[a]: ", "***", "\\", "|",
        ]);
        let text = prop::sample::select(vec!["", "Role", "é {{a}}", "`x`", "# x", "#", "\u{a0}"]);
        let line_break = prop::sample::select(vec!["\n", "\n", "\r\n", "\r"]);
        (start, text, line_break).prop_map(|(start, text, end)| format!("{start}{text}{end}"))
    }

    proptest! {
        #[test]
        fn headings_and_contents_together_are_the_body(
            lines in prop::collection::vec(line(), 0..24),
            text in any::<String>(),
        ) {
            let body = lines.concat();

            prop_assert_eq!(put_together(&body), body);
            prop_assert_eq!(put_together(&text), text);
        }

        #[test]
        fn no_heading_is_empty_and_every_one_is_whole_lines(
            lines in prop::collection::vec(line(), 0..24),
        ) {
            let body = lines.concat();
            let mut above = Sections::of(&body).preamble;

            for section in &Sections::of(&body).sections {
                prop_assert!(!section.heading.trim().is_empty());
                prop_assert!(above.is_empty() || above.ends_with(['\n', '\r']));
                prop_assert!(section.content.is_empty() || section.heading.ends_with(['\n', '\r']));
                above = if section.content.is_empty() { section.heading } else { section.content };
            }
        }
    }
}
