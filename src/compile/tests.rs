//! Versions of every layout, with values.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::{self, BlockKind, Variable};

fn block(title: &str, content: &str) -> Block {
    let (title, content) = (title.to_owned(), content.to_owned());
    Block { kind: BlockKind::Custom, title, content, enabled: true }
}

fn variable(name: &str, required: bool, default: Option<Value>) -> Variable {
    Variable { name: name.into(), description: String::new(), required, default }
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("an object") };
    object
}

fn prepared(text: &str, variables: Vec<Variable>) -> Prepared {
    let content = Content {
        layout: Layout::Sections(vec![block("", text)]),
        variables,
        ..Content::default()
    };
    Prepared::new(&content, Map::new())
}

fn verbatim(text: &str) -> Prepared {
    let content = Content { layout: Layout::Verbatim(text.to_owned()), ..Content::default() };
    Prepared::new(&content, Map::new())
}

/// A chat prompt; a message with an empty role is the placeholder that its content names.
fn chat(messages: &[(&str, &str)]) -> Prepared {
    let message = |&(role, content): &(&str, &str)| match role {
        "" => model::Message::Placeholder { name: content.to_owned() },
        _ => model::Message::Said { role: role.to_owned(), content: content.to_owned() },
    };
    let layout = Layout::Chat(messages.iter().map(message).collect());
    Prepared::new(&Content { layout, ..Content::default() }, Map::new())
}

/// The compiled messages, written as `chat` takes them; one that was brought in as its JSON.
fn messages(compiled: &Compiled<'_>) -> Vec<(String, String)> {
    let message = |message: &Message<'_>| match message {
        Message::Inserted(message) => ("inserted".to_owned(), message.to_string()),
        Message::Own(model::Message::Placeholder { name }) => (String::new(), name.clone()),
        Message::Own(model::Message::Said { role, content }) => (role.clone(), content.clone()),
    };
    compiled.messages.as_ref().unwrap().iter().map(message).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(role, content)| (role.to_owned(), content.to_owned())).collect()
}

fn text(prepared: &Prepared, values: Value) -> String {
    let values = object(values);
    prepared.render(&prepared.resolve(&values), usize::MAX).unwrap().text
}

#[test]
fn blocks_join_with_one_blank_line_and_end_with_one_line_break() {
    let off = Block { enabled: false, ..block("Off", "never") };
    for (blocks, expected) in [
        (vec![block("Role", "You help.\n")], "## Role\nYou help.\n"),
        (vec![block("A", "1\n\n"), block("B", "2")], "## A\n1\n\n## B\n2\n"),
        (vec![block("", "intro"), off.clone(), block("B", "\n2\n")], "intro\n\n## B\n\n2\n"),
        (vec![block("Empty", ""), block("", "")], "## Empty\n"),
        (vec![off], ""),
    ] {
        let content = Content { layout: Layout::Sections(blocks), ..Content::default() };
        assert_eq!(Prepared::new(&content, Map::new()).source(), expected);
    }
}

#[test]
fn a_value_comes_from_the_request_then_the_default_then_the_environment() {
    let content = Content {
        layout: Layout::Sections(vec![block("", "{{a}} {{b}} {{c}} {{d}}")]),
        variables: vec![variable("b", false, Some(json!("declared")))],
        input_schema: Some(json!({"properties": {
            "b": {"default": "schema"}, "c": {"default": "schema"}, "d": {"type": "string"},
        }})),
        ..Content::default()
    };
    let environment = object(json!({"a": "env", "b": "env", "c": "env", "d": "env"}));
    let prepared = Prepared::new(&content, environment);

    assert_eq!(text(&prepared, json!({})), "env declared schema env\n");
    assert_eq!(text(&prepared, json!({"a": 1, "b": null, "d": "x"})), "1  schema x\n");
}

#[test]
fn every_missing_required_variable_is_named() {
    let variables = vec![
        variable("a", true, None),
        variable("b", true, Some(json!(""))),
        variable("c", true, None),
        variable("d", false, None),
    ];
    let prepared = prepared("{{a}}{{b}}{{d}}", variables);

    let (none, null) = (Map::new(), object(json!({"a": null, "c": 0})));

    assert_eq!(prepared.resolve(&none).missing_required(), ["a", "c"]);
    assert!(prepared.resolve(&null).missing_required().is_empty(), "null counts as supplied");
    assert_eq!(prepared.resolve(&none).missing().collect::<Vec<_>>(), ["a", "d"]);
}

#[test]
fn names_that_no_variable_draws_on_are_unused() {
    let prepared = prepared("{{a.b}}{{c}}", Vec::new());
    let request = object(json!({"a": {"b": 1}, "a.b": 2, "ab": 3, "c": 4, "c.d": 5}));

    assert_eq!(prepared.resolve(&request).unused().collect::<Vec<_>>(), ["ab", "c.d"]);
}

#[test]
fn the_canonical_form_ignores_order_blanks_unused_names_and_stated_defaults() {
    let prepared = prepared("{{a}}{{b}}", vec![variable("b", false, Some(json!(2)))]);
    let of = |json: &str| {
        let request = serde_json::from_str(json).unwrap();
        prepared.resolve(&request).canonical()
    };

    assert_eq!(of(r#"{"a":"1","b":2}"#), of(r#"{ "b" : 2.0, "x": 9, "a": "1" }"#));
    assert_eq!(of(r#"{"a":"1"}"#), of(r#"{"a":1,"b":"2"}"#));
    assert_ne!(of(r#"{"a":""}"#), of("{}"), "empty and missing differ");
    assert_ne!(of(r#"{"a":"1","b":"23"}"#), of(r#"{"a":"12","b":"3"}"#));
}

#[test]
fn a_text_over_the_limit_is_refused_before_it_is_written() {
    let prepared = prepared("{{a}}{{a}}", Vec::new());
    let request = object(json!({"a": "12345"}));
    let resolved = prepared.resolve(&request);

    assert_eq!(prepared.render(&resolved, 11).unwrap().text, "1234512345\n");
    assert_eq!(prepared.render(&resolved, 10).err(), Some(TooLong { len_bytes: 11 }));
}

#[test]
fn a_verbatim_text_comes_out_byte_for_byte() {
    for source in ["", "\n", "Hi", "Hi\n\n\n", " \t Hi \r\n", "## A\n\n\n\n## B"] {
        assert_eq!(text(&verbatim(source), json!({})), source);
    }
    let prepared = verbatim("\n{{ a }}{{b}}\n\n");
    assert_eq!(text(&prepared, json!({"a": "1\n"})), "\n1\n{{b}}\n\n");
    assert_eq!(prepared.render_unresolved().text, "\n{{ a }}{{b}}\n\n");
    assert_eq!(prepared.render_unresolved().messages, None);
}

#[test]
fn a_chat_prompt_is_its_messages_and_a_text_of_them() {
    let prepared = chat(&[("system", "You are {{who}}.\n"), ("tool call", ""), ("user", "{{q}}")]);
    let values = object(json!({"who": "Ada", "q": "{{who}}", "role": "x"}));

    let compiled = prepared.render(&prepared.resolve(&values), usize::MAX).unwrap();

    assert_eq!(
        messages(&compiled),
        pairs(&[("system", "You are Ada.\n"), ("tool call", ""), ("user", "{{who}}")])
    );
    assert_eq!(compiled.text, "## System\nYou are Ada.\n\n\n## Tool call\n\n\n## User\n{{who}}\n");
    assert_eq!(prepared.names().collect::<Vec<_>>(), ["who", "q"]);
}

#[test]
fn a_role_is_never_a_template() {
    let prepared = chat(&[("{{a}}", "{{b}}")]);
    let values = object(json!({"a": "1", "b": "2"}));

    let compiled = prepared.render(&prepared.resolve(&values), usize::MAX).unwrap();

    assert_eq!(messages(&compiled), pairs(&[("{{a}}", "2")]));
    assert_eq!(compiled.text, "## {{a}}\n2\n");
    assert_eq!(prepared.names().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_placeholder_gives_way_to_the_messages_it_is_given() {
    let prepared = chat(&[("system", "S"), ("", "history"), ("user", "U")]);
    let history = json!([
        {"role": "user", "content": "Hi", "name": "ada"},
        {"role": "assistant", "content": null, "tool_calls": [1.50]},
    ]);
    let values = object(json!({"history": history}));

    let compiled = prepared.render(&prepared.resolve(&values), usize::MAX).unwrap();

    assert_eq!(
        messages(&compiled),
        pairs(&[
            ("system", "S"),
            ("inserted", r#"{"role":"user","content":"Hi","name":"ada"}"#),
            ("inserted", r#"{"role":"assistant","content":null,"tool_calls":[1.5]}"#),
            ("user", "U"),
        ])
    );
    assert_eq!(compiled.text, "## System\nS\n\n## User\nHi\n\n## Assistant\n\n\n## User\nU\n");
}

#[test]
fn an_empty_list_of_messages_leaves_nothing() {
    let prepared = chat(&[("", "history"), ("user", "U"), ("", "history"), ("", "history")]);
    let values = object(json!({"history": []}));

    let compiled = prepared.render(&prepared.resolve(&values), usize::MAX).unwrap();

    assert_eq!(messages(&compiled), pairs(&[("user", "U")]));
    assert_eq!(compiled.text, "## User\nU\n");
}

#[test]
fn a_placeholder_without_messages_stays() {
    let prepared = chat(&[("", "history"), ("user", "U")]);

    for (values, expected) in [
        (json!({}), "{{history}}\n\n## User\nU\n"),
        (json!({"history": "none"}), "none\n\n## User\nU\n"),
        (json!({"history": [{"content": "Hi"}]}), "[{\"content\":\"Hi\"}]\n\n## User\nU\n"),
        (json!({"history": [{"role": 1}]}), "[{\"role\":1}]\n\n## User\nU\n"),
    ] {
        let values = object(values);
        let compiled = prepared.render(&prepared.resolve(&values), usize::MAX).unwrap();

        assert_eq!(messages(&compiled), pairs(&[("", "history"), ("user", "U")]));
        assert_eq!(compiled.text, expected);
    }
}

#[test]
fn a_placeholder_is_a_variable_with_defaults_of_its_own() {
    let content = Content {
        layout: Layout::Chat(vec![model::Message::Placeholder { name: "history".into() }]),
        variables: vec![variable("history", true, None)],
        ..Content::default()
    };
    let defaults = object(json!({"history": [{"role": "user", "content": "Hi"}]}));
    let (open, filled) = (Prepared::new(&content, Map::new()), Prepared::new(&content, defaults));

    let none = Map::new();
    assert_eq!(open.resolve(&none).missing_required(), ["history"]);
    assert_eq!(open.resolve(&none).missing().collect::<Vec<_>>(), ["history"]);
    assert_eq!(text(&filled, json!({})), "## User\nHi\n");
}

#[test]
fn an_unresolved_chat_prompt_is_untouched() {
    let source = [("system", "\\{{a}} {{ b }}\n"), ("", "history"), ("{{a}}", "{{{a}}}")];

    let prepared = chat(&source);
    let compiled = prepared.render_unresolved();

    assert_eq!(messages(&compiled), pairs(&source));
    assert_eq!(compiled.text, "## System\n\\{{a}} {{ b }}\n\n\n{{history}}\n\n## {{a}}\n{{{a}}}\n");
}

#[test]
fn messages_and_a_text_that_spells_them_have_two_canonical_forms() {
    let prepared = chat(&[("", "history"), ("user", "{{history}} {{a}}")]);
    let of = |values: Value| {
        let values = object(values);
        prepared.resolve(&values).canonical()
    };

    let list = json!([{"role": "user", "content": "Hi"}]);
    assert_eq!(of(json!({"history": list, "a": 1})), of(json!({"a": "1", "history": list})));
    assert_ne!(of(json!({"history": list})), of(json!({"history": list.to_string()})));
    assert_ne!(of(json!({"history": list})), of(json!({"history": [{"role": "user"}]})));
    assert_ne!(of(json!({"history": []})), of(json!({})));
}

#[test]
fn messages_count_towards_the_limit() {
    let prepared = chat(&[("user", "{{a}}"), ("", "history"), ("", "history")]);
    let values = object(json!({"a": "12345", "history": [{"role": "user", "content": "Hi"}]}));
    let resolved = prepared.resolve(&values);
    let text = "## User\n12345\n\n## User\nHi\n\n## User\nHi\n";
    let json = "[{\"role\":\"user\",\"content\":\"Hi\"}]\n";
    let len_bytes = text.len() + "user12345".len() + 2 * json.len();

    assert_eq!(prepared.render(&resolved, len_bytes).unwrap().text, text);
    assert_eq!(prepared.render(&resolved, len_bytes - 1).err(), Some(TooLong { len_bytes }));
}

/// Texts that would be variables, escapes or titles if they were read again.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "{{a}}",
        "{{history}}",
        "{{",
        "}}",
        "\\",
        "\n",
        "## User\n",
        "{",
        "a",
        "\"",
        "é",
    ]);
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn what_a_placeholder_brings_in_is_never_scanned(
        role in hostile(), content in hostile(), a in hostile(), own in "[^{}\\\\]{0,8}",
    ) {
        let inserted = json!({"role": role, "content": content});
        let values = object(json!({"a": a, "history": [inserted], "b": "never"}));
        let source = format!("{own}{{{{a}}}}{own}");
        let prepared = chat(&[("user", &source), ("", "history")]);

        let compiled = prepared.render(&prepared.resolve(&values), usize::MAX).unwrap();

        let said = format!("{own}{a}{own}");
        prop_assert_eq!(
            messages(&compiled),
            pairs(&[("user", &said), ("inserted", &inserted.to_string())])
        );
        let brought_in = format!("\n{content}\n");
        let own = format!("## User\n{said}\n\n## ");
        prop_assert!(compiled.text.starts_with(&own));
        prop_assert!(compiled.text.ends_with(&brought_in));
    }

    #[test]
    fn any_messages_are_laid_out_as_they_are(
        said in prop::collection::vec((hostile(), hostile()), 0..6),
    ) {
        let layout = said.iter().map(|(role, content)| model::Message::Said {
            role: role.clone(),
            content: content.clone(),
        });
        let content = Content { layout: Layout::Chat(layout.collect()), ..Content::default() };
        let prepared = Prepared::new(&content, Map::new());

        prop_assert_eq!(messages(&prepared.render_unresolved()), said);
        let none = Map::new();
        let compiled = prepared.render(&prepared.resolve(&none), usize::MAX).unwrap();
        prop_assert_eq!(compiled.text.replace('\\', ""), prepared.source().replace('\\', ""));
    }
}
