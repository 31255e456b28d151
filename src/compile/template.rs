//! Text with `{{variables}}`: parsed once, rendered many times.
//!
//! A token is `{{`, blanks (spaces, tabs), a name, blanks, `}}`. A name is
//! `[A-Za-z_][A-Za-z0-9_-]*`, with further segments `[A-Za-z0-9_-]+` behind dots (`user.name`,
//! `items.0.title`). The opening braces are exactly two: `{{{x}}}` is text. Whatever is not a token
//! is text, byte for byte; `\{{name}}` is the text `{{name}}`.
//!
//! # Invariants
//!
//! 1. Text without tokens renders to itself. (`tests::text_without_tokens_is_untouched`)
//! 2. An inserted value is never scanned again, so a value cannot smuggle a variable in.
//!    (`tests::an_inserted_value_is_never_scanned_again`)
//! 3. Parsing is linear in the text, rendering in the output.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Map;
use serde_json::Value;

/// A parsed text.
#[derive(Debug)]
pub struct Template {
    source: Box<str>,
    pieces: Vec<Piece>,
    names: Vec<Box<str>>,
}

/// A part of a template that can be rendered on its own.
#[derive(Clone, Debug)]
pub struct Part {
    pieces: Range<usize>,
    source: Range<usize>,
}

impl Part {
    /// From where this part begins to where `last` ends.
    pub fn through(&self, last: &Self) -> Self {
        Self {
            pieces: self.pieces.start..last.pieces.end,
            source: self.source.start..last.source.end,
        }
    }
}

/// Puts a template together of texts that hold variables and texts that do not.
#[derive(Debug, Default)]
pub struct Builder<'a> {
    source: String,
    pieces: Vec<Piece>,
    names: Vec<&'a str>,
    index: foldhash::HashMap<&'a str, usize>,
}

/// A stretch of the source. Ranges are in bytes and lie on character boundaries.
#[derive(Debug)]
enum Piece {
    Text(Range<usize>),
    Token { placeholder: Range<usize>, name: usize },
}

impl Template {
    /// Parses a text. Every text is a template.
    pub fn parse(source: &str) -> Self {
        let mut builder = Builder::default();
        builder.template(source);
        builder.finish()
    }

    /// A text that somebody else has rendered, of which these names occurred. Nothing in it is a
    /// token.
    pub fn literal(text: String, names: Vec<String>) -> Self {
        let pieces = Vec::from([Piece::Text(0..text.len())]);
        let names = names.into_iter().map(String::into_boxed_str).collect();
        Self { source: text.into(), pieces, names }
    }

    /// The text as it was parsed, placeholders and escapes untouched.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Every variable that occurs, first appearance first, no repeats.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// The length in bytes of what [`Template::render`] makes of these values.
    pub fn rendered_len(&self, values: &[Option<Cow<'_, str>>]) -> usize {
        self.spans(values).map(str::len).sum()
    }

    /// Renders with one value per name, in the order of [`Template::names`]; a `None` leaves the
    /// placeholder as it stands. Says where in the text each piece begins, too.
    pub fn render(&self, values: &[Option<Cow<'_, str>>]) -> (String, Vec<usize>) {
        let mut text = String::with_capacity(self.rendered_len(values));
        let mut starts = Vec::with_capacity(self.pieces.len());
        for span in self.spans(values) {
            starts.push(text.len());
            text.push_str(span);
        }
        (text, starts)
    }

    /// Of each piece the text that it renders to whatever the values are; `None` of a token.
    pub fn fixed(&self) -> impl Iterator<Item = Option<&str>> {
        self.pieces.iter().map(|piece| match piece {
            Piece::Text(range) => self.source.get(range.clone()),
            Piece::Token { .. } => None,
        })
    }

    /// A part as it was given, placeholders and escapes untouched.
    pub fn source_of(&self, part: &Part) -> &str {
        self.source.get(part.source.clone()).unwrap_or_default()
    }

    /// The stretches of a part, rendered as [`Template::render`] renders the whole.
    pub fn part<'a>(
        &'a self,
        part: &Part,
        values: &'a [Option<Cow<'_, str>>],
    ) -> impl Iterator<Item = &'a str> {
        self.rendered(self.pieces.get(part.pieces.clone()).unwrap_or_default(), values)
    }

    /// The length in bytes of a rendered part.
    pub fn part_len(&self, part: &Part, values: &[Option<Cow<'_, str>>]) -> usize {
        self.part(part, values).map(str::len).sum()
    }

    fn spans<'a>(&'a self, values: &'a [Option<Cow<'_, str>>]) -> impl Iterator<Item = &'a str> {
        self.rendered(&self.pieces, values)
    }

    fn rendered<'a>(
        &'a self,
        pieces: &'a [Piece],
        values: &'a [Option<Cow<'_, str>>],
    ) -> impl Iterator<Item = &'a str> {
        pieces.iter().map(move |piece| {
            let (range, value) = match piece {
                Piece::Text(range) => (range, None),
                Piece::Token { placeholder, name } => (placeholder, values.get(*name)),
            };
            match value {
                Some(Some(value)) => value.as_ref(),
                Some(None) | None => self.source.get(range.clone()).unwrap_or_default(),
            }
        })
    }
}

impl<'a> Builder<'a> {
    /// Adds a text in which nothing is a token.
    pub fn text(&mut self, text: &str) -> Part {
        self.add(|builder| {
            builder.source.push_str(text);
            let end = builder.source.len();
            builder.pieces.push(Piece::Text(end - text.len()..end));
        })
    }

    /// Adds a text and parses it.
    pub fn template(&mut self, text: &'a str) -> Part {
        self.add(|builder| builder.parse(text))
    }

    /// Adds a token, whatever its name.
    pub fn token(&mut self, name: &'a str) -> Part {
        self.add(|builder| {
            let start = builder.source.len();
            builder.source.extend(["{{", name, "}}"]);
            let placeholder = start..builder.source.len();
            let name = builder.intern(name);
            builder.pieces.push(Piece::Token { placeholder, name });
        })
    }

    /// The template.
    pub fn finish(self) -> Template {
        Template {
            source: self.source.into(),
            pieces: self.pieces,
            names: self.names.into_iter().map(Into::into).collect(),
        }
    }

    fn add(&mut self, write: impl FnOnce(&mut Self)) -> Part {
        let (pieces, source) = (self.pieces.len(), self.source.len());
        write(self);
        Part { pieces: pieces..self.pieces.len(), source: source..self.source.len() }
    }

    fn parse(&mut self, text: &'a str) {
        let base = self.source.len();
        self.source.push_str(text);
        let mut text_from = 0;
        let mut at = 0;

        while let Some(found) = next_token(text, at) {
            at = found.range.end;
            let text_to = if found.is_escaped { found.range.start - 1 } else { found.range.start };
            if text_from < text_to {
                self.pieces.push(Piece::Text(base + text_from..base + text_to));
            }
            text_from = found.range.start;
            if found.is_escaped {
                continue;
            }
            let placeholder = base + found.range.start..base + found.range.end;
            let name = self.intern(found.name);
            self.pieces.push(Piece::Token { placeholder, name });
            text_from = at;
        }
        if text_from < text.len() {
            self.pieces.push(Piece::Text(base + text_from..base + text.len()));
        }
    }

    fn intern(&mut self, name: &'a str) -> usize {
        *self.index.entry(name).or_insert_with(|| {
            self.names.push(name);
            self.names.len() - 1
        })
    }
}

/// Whether `text` can stand between the braces of a token.
pub fn is_name(text: &str) -> bool {
    name_len(text.as_bytes()) == Some(text.len())
}

/// Finds a variable's value: the whole name as a key first, then the path it spells.
pub fn lookup<'v>(values: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    if let Some(value) = values.get(name) {
        return Some(value);
    }
    let (first, path) = name.split_once('.')?;
    path.split('.').try_fold(values.get(first)?, |value, segment| match value {
        Value::Object(object) => object.get(segment),
        Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

/// Renders a value: strings verbatim, integers without a fraction, other numbers in their shortest
/// round-trip form, arrays and objects as compact JSON in the order given, `null` as nothing.
pub fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::String(text) => Cow::Borrowed(text),
        Value::Number(number) => text_of_number(number.as_str()),
        Value::Array(_) | Value::Object(_) => Cow::Owned(value.to_string()),
    }
}

/// Integers of any size keep their digits. What has a fraction or an exponent goes through `f64`,
/// unless it is too large for one: then it stays as it was written, so that nothing is lost.
fn text_of_number(written: &str) -> Cow<'_, str> {
    /// From here on integers are printed with an exponent, as ECMAScript does.
    const EXPONENT_FROM: f64 = 1e21;

    let digits = written.strip_prefix('-').unwrap_or(written);
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        return Cow::Borrowed(if digits == "0" { digits } else { written });
    }
    match written.parse::<f64>() {
        Ok(0.0) => Cow::Borrowed("0"),
        Ok(number) if number.fract() == 0.0 && number.abs() < EXPONENT_FROM => {
            Cow::Owned(format!("{number:.0}"))
        }
        Ok(number) if number.is_finite() => Cow::Owned(Value::from(number).to_string()),
        Ok(_) | Err(_) => Cow::Borrowed(written),
    }
}

struct Found<'a> {
    /// From the first opening brace to behind the last closing one.
    range: Range<usize>,
    name: &'a str,
    is_escaped: bool,
}

/// The first token at or after `from`. What fails to be one is never looked at again: neither
/// blanks nor a name contain a brace.
fn next_token(source: &str, from: usize) -> Option<Found<'_>> {
    let bytes = source.as_bytes();
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|&b| b == b'{')?;
        let run = bytes.get(at..)?.iter().take_while(|&&b| b == b'{').count();
        let inner = at + run;
        if run == 2
            && let Some((name, end)) = token_behind(source, inner)
        {
            let is_escaped = at > from && bytes.get(at - 1) == Some(&b'\\');
            return Some(Found { range: at..end, name, is_escaped });
        }
        at = inner;
    }
}

/// Reads blanks, a name, blanks and `}}` from `from`. Returns the name and where the token ends.
fn token_behind(source: &str, from: usize) -> Option<(&str, usize)> {
    let blanks = |at: usize| {
        let rest = source.as_bytes().get(at..).unwrap_or_default();
        rest.iter().take_while(|&&b| b == b' ' || b == b'\t').count()
    };
    let start = from + blanks(from);
    let end = start + name_len(source.as_bytes().get(start..)?)?;
    let close = end + blanks(end);
    source.get(close..)?.starts_with("}}").then_some((source.get(start..end)?, close + 2))
}

/// How many bytes at the start of `bytes` are a name; `None` if there is none.
fn name_len(bytes: &[u8]) -> Option<usize> {
    let is_name_byte = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if !bytes.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_') {
        return None;
    }
    let mut len = bytes.iter().take_while(|b| is_name_byte(b)).count();
    while bytes.get(len) == Some(&b'.') {
        let segment = bytes.get(len + 1..)?.iter().take_while(|b| is_name_byte(b)).count();
        if segment == 0 {
            return None;
        }
        len += 1 + segment;
    }
    Some(len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn render(source: &str, values: Value) -> String {
        let Value::Object(values) = values else { panic!("variables are an object") };
        let template = Template::parse(source);
        let found: Vec<_> =
            template.names().map(|name| lookup(&values, name).map(text_of)).collect();
        template.render(&found).0
    }

    #[test]
    fn a_token_is_two_braces_and_a_name() {
        let values = json!({"x": "1", "user_name": "Ada", "a-b": "2", "_": "3"});

        for (source, expected) in [
            ("Hi {{user_name}}!", "Hi Ada!"),
            ("{{ x }}{{\tx}}{{x }}", "111"),
            ("{{a-b}} {{_}}", "2 3"),
            ("{\"k\": {{x}}}", "{\"k\": 1}"),
            ("é{{x}}é", "é1é"),
            ("{{x}}", "1"),
            ("{{missing}} {{ missing }}", "{{missing}} {{ missing }}"),
        ] {
            assert_eq!(render(source, values.clone()), expected, "of {source:?}");
        }
    }

    #[test]
    fn everything_else_between_braces_is_text() {
        let values = json!({"x": "1", "a": "1", "base64": "1"});

        for source in [
            "{{#x}}",
            "{{/x}}",
            "{{{x}}}",
            "{{{{x}}}}",
            "{% x %}",
            "{\"a\": 1}",
            "{{}}",
            "{{ }}",
            "{{base64('x')}}",
            "{{x",
            "{{x}",
            "{x}}",
            "{{1x}}",
            "{{x.}}",
            "{{.x}}",
            "{{x..y}}",
            "{{x y}}",
            "{{\nx}}",
            "\\{{#x}}",
            "\\{{{x}}}",
            "{",
            "{{",
            "\\",
        ] {
            assert_eq!(render(source, values.clone()), source);
        }
    }

    #[test]
    fn a_backslash_makes_a_token_text() {
        let values = json!({"x": "1"});

        assert_eq!(render("\\{{x}}", values.clone()), "{{x}}");
        assert_eq!(render("a\\{{x}}{{x}}", values.clone()), "a{{x}}1");
        assert_eq!(render("\\{{x}}\\{{x}}", values.clone()), "{{x}}{{x}}");
        assert_eq!(render("\\\\{{x}}", values), "\\{{x}}");
    }

    #[test]
    fn the_whole_name_is_looked_up_before_its_path() {
        let values = json!({
            "company.name": "exact", "company": {"name": "path", "city": "Bern"},
            "items": [{"title": "first"}], "text": "t",
        });

        assert_eq!(render("{{company.name}} {{company.city}}", values.clone()), "exact Bern");
        assert_eq!(render("{{items.0.title}}", values.clone()), "first");
        assert_eq!(render("{{items.1.title}}{{text.x}}", values), "{{items.1.title}}{{text.x}}");
    }

    #[test]
    fn values_have_one_text_form_each() {
        for (json, expected) in [
            (r#""a \"b\" <c>""#, "a \"b\" <c>"),
            ("12", "12"),
            ("-0", "0"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("-2.50", "-2.5"),
            ("0.1", "0.1"),
            ("1e-7", "1e-7"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("1e400", "1e+400"),
            ("true", "true"),
            ("null", ""),
            (r#"{ "b": [1, 2.0], "a": null }"#, r#"{"b":[1,2.0],"a":null}"#),
            ("[]", "[]"),
        ] {
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(text_of(&value), expected, "of {json}");
        }
    }

    #[test]
    fn an_inserted_value_is_never_scanned_again() {
        assert_eq!(render("{{a}}", json!({"a": "{{b}}", "b": "x"})), "{{b}}");
        assert_eq!(render("{{a}}{{b}}", json!({"a": "{{", "b": "c}}", "c": "x"})), "{{c}}");
    }

    #[test]
    fn a_name_is_what_can_stand_in_a_token() {
        for good in ["a", "_", "user_name", "user-name", "order.id", "items.0.title", "A1"] {
            assert!(is_name(good), "{good} should be a name");
        }
        for bad in ["", "1a", "-a", ".a", "a.", "a..b", "a b", "é", "#x", "a.b c"] {
            assert!(!is_name(bad), "{bad:?} should be refused");
        }
    }

    #[test]
    fn names_are_listed_once_in_order_of_appearance() {
        let template = Template::parse("{{b}}{{a}}{{ b }}\\{{c}}{{a.b}}");

        assert_eq!(template.names().collect::<Vec<_>>(), ["b", "a", "a.b"]);
    }

    proptest! {
        #[test]
        fn text_without_tokens_is_untouched(text in "[^{]*") {
            prop_assert_eq!(render(&text, json!({"a": "x"})), text);
        }

        #[test]
        fn any_text_parses_and_without_values_only_loses_escapes(text in r"([{}\\a. ]|\PC){0,60}") {
            let rendered = render(&text, json!({}));

            prop_assert_eq!(rendered.replace('\\', ""), text.replace('\\', ""));
            let template = Template::parse(&text);
            prop_assert_eq!(template.source(), text);
        }

        #[test]
        fn a_value_arrives_verbatim_whatever_it_holds(
            before in "[^{\\\\]*", value in r"([{}\\ab]|\PC){0,60}", after in "[^{}]*",
        ) {
            let source = format!("{before}{{{{a}}}}{after}");

            prop_assert_eq!(
                render(&source, json!({"a": value.clone(), "b": "never"})),
                format!("{before}{value}{after}")
            );
        }
    }
}
