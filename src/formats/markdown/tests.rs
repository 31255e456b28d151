//! Whole files: what becomes of their front matter and their body.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::Visibility;

fn content_of(file: &str) -> Content {
    parse("stem", file).unwrap().versions.remove(0).content
}

fn problem(file: &str) -> String {
    parse("stem", file).unwrap_err().to_string()
}

#[test]
fn a_file_without_front_matter_is_named_by_its_stem() {
    let prompt = parse("t_find Blindspots", "Find them.\n").unwrap();

    assert_eq!(prompt.slug.as_str(), "t-find-blindspots");
    assert_eq!(prompt.name, "t_find Blindspots");
    assert_eq!(prompt.versions.len(), 1);
    assert_eq!(prompt.versions[0].content.blocks(), [block(String::new(), "Find them.\n")]);
}

#[test]
fn every_key_of_the_front_matter_is_read() {
    let prompt = parse(
        "stem",
        "---\nname: A name\nslug: a-slug\ndescription: For this\ncategory: c\nvisibility: public\n\
         owner: o\ntags: [x, y]\nmodel_config: {z: 1, a: 0.5}\nvariables: {v: {required: true}}\n\
         input_schema: {type: object}\n---\nText\n",
    )
    .unwrap();

    assert_eq!((prompt.name.as_str(), prompt.slug.as_str()), ("A name", "a-slug"));
    assert_eq!((prompt.description.as_str(), prompt.category.as_str()), ("For this", "c"));
    assert_eq!((prompt.visibility, prompt.owner.as_str()), (Visibility::Public, "o"));
    assert_eq!(prompt.tags, ["x", "y"]);
    let content = &prompt.versions[0].content;
    assert_eq!(json!(content.model_config).to_string(), r#"{"z":1,"a":0.5}"#);
    assert!(content.variables[0].required);
    assert_eq!(content.input_schema, Some(json!({"type": "object"})));
}

#[test]
fn front_matter_that_names_nothing_leaves_it_to_the_stem() {
    let prompt = parse("My File", "---\ntags: [a]\nname:\n---\nText\n").unwrap();

    assert_eq!((prompt.name.as_str(), prompt.slug.as_str()), ("My File", "my-file"));
}

#[test]
fn variables_are_a_mapping_or_a_list() {
    let mapping = "variables:\n  a.b: {default: ~, description: D}\n  c:\n";
    let list = "variables:\n- {name: a.b, default: ~, description: D}\n- name: c\n";

    let [mapping, list] =
        [mapping, list].map(|yaml| content_of(&format!("---\n{yaml}---\nText\n")).variables);

    assert_eq!(mapping, list);
    assert_eq!(mapping[0].default, Some(Value::Null));
    assert_eq!((mapping[1].name.as_str(), &mapping[1].default), ("c", &None));
}

#[test]
fn a_title_gives_the_kind_of_a_block() {
    let body = "# ROLE\n# context\n# Instructions\n# Guardrails\n# Output format\n# output_format\n\
                # Custom\n# IDENTITY and PURPOSE\n";

    let kinds: Vec<_> = content_of(body).blocks().iter().map(|block| block.kind.as_str()).collect();

    assert_eq!(
        kinds,
        [
            "role",
            "context",
            "instructions",
            "guardrails",
            "output_format",
            "output_format",
            "custom",
            "custom",
        ]
    );
}

#[test]
fn text_before_the_first_heading_is_an_untitled_block_unless_it_is_blank() {
    assert_eq!(content_of("Intro\n\n# Role\nYou").blocks()[0], block(String::new(), "Intro\n\n"));
    assert_eq!(content_of("\n \n# Role\nYou").blocks(), [block("Role".into(), "You")]);
}

#[test]
fn contents_are_not_trimmed() {
    let body = "# Role\r\n\r\n  You are\u{a0}\r\n\r\n# B\r\n";

    assert_eq!(content_of(body).blocks()[0].content, "\r\n  You are\u{a0}\r\n\r\n");
}

#[test]
fn a_byte_order_mark_hides_neither_front_matter_nor_heading() {
    assert_eq!(parse("stem", "\u{feff}---\nslug: a\n---\nText").unwrap().slug.as_str(), "a");
    assert_eq!(content_of("\u{feff}# Role\nYou").blocks(), [block("Role".into(), "You")]);
}

#[test]
fn an_opening_line_that_is_never_closed_is_a_thematic_break() {
    let file = "---\nname: not front matter\n";

    assert_eq!(parse("stem", file).unwrap().name, "stem");
    assert_eq!(content_of(file).blocks(), [block(String::new(), file)]);
}

#[test]
fn an_error_says_where_and_what_to_do() {
    for (file, expected) in [
        ("", "the file has no prompt text"),
        ("---\nname: x\n---\n \n", "the file has no prompt text"),
        ("---\nmodel: x\n---\nText", "front matter: model is not a known field: known are name, "),
        ("---\nname: 1\n---\nText", "front matter: name must be a text: put it in quotes"),
        ("---\nslug: A b\n---\nText", "front matter: slug is not usable: a slug is lower-case"),
        ("---\ntags: a, b\n---\nText", "front matter: tags must be a list"),
        ("---\nvisibility: all\n---\nText", "front matter: visibility must be `private` or"),
        ("---\nvariables: x\n---\nText", "front matter: variables must be a mapping of names"),
        ("---\nvariables: {x: y}\n---\nText", "front matter: variables.x must be an object"),
        ("---\nvariables: {x: {type: y}}\n---\nText", "front matter: variables.x.type is not a"),
        ("---\nvariables: {1a: }\n---\nText", "front matter: variables.1a must be a variable na"),
        ("---\nvariables: {a: {required: yes}}\n---\nText", "front matter: variables.a.required"),
        ("---\nvariables: [{name: a}, {name: a}]\n---\nText", "front matter: variables[1].name is"),
        ("---\nSome words.\n---\nText", "the front matter between the `---` lines is not a"),
    ] {
        let problem = problem(file);
        assert!(problem.starts_with(expected), "{file:?} should say {expected:?}: {problem}");
    }
    assert_eq!(
        parse("???", "Text").unwrap_err().to_string(),
        "the file name makes no slug (a slug is lower-case letters and digits, words joined by \
         single dashes): rename the file or set `slug` in front matter"
    );
}

/// The prompts of `examples/prompts`, by slug.
fn examples() -> Vec<Portable> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/prompts");
    let mut prompts: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            parse(stem, &std::fs::read_to_string(&path).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect();
    prompts.sort_by(|a, b| a.slug.cmp(&b.slug));
    prompts
}

#[test]
fn every_example_is_a_prompt() {
    let found: Vec<_> = examples().iter().map(|prompt| prompt.slug.to_string()).collect();

    let expected = [
        "code-review",
        "customer-support",
        "meeting-summary",
        "order-status",
        "plain-language",
        "ticket-extraction",
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_customer_support_example_is_what_the_documents_say_it_is() {
    let prompt = examples().swap_remove(1);
    let content = &prompt.versions[0].content;

    assert_eq!(prompt.name, "Customer Support Agent");
    let titles: BTreeSet<_> = content.blocks().iter().map(|block| block.title.as_str()).collect();
    assert_eq!(titles, BTreeSet::from(["Context", "Guardrails", "Instructions", "Role"]));
    assert!(content.blocks()[0].content.starts_with("You are a friendly customer support agent"));
    assert_eq!(
        json!(content.model_config).to_string(),
        r#"{"model":"gpt-4o","temperature":0.4,"max_tokens":800}"#
    );
    let defaults: Vec<_> =
        content.variables.iter().map(|v| (v.name.as_str(), v.default.clone())).collect();
    assert_eq!(defaults, [("user_name", None), ("tone", Some(json!("friendly")))]);
}

#[test]
fn every_variable_an_example_declares_stands_in_its_text() {
    for prompt in examples() {
        let content = &prompt.versions[0].content;
        let text: String = content.blocks().iter().map(|block| block.content.as_str()).collect();
        for variable in &content.variables {
            let token = format!("{{{{{}}}}}", variable.name);
            assert!(text.contains(&token), "`{}` never says {token}", prompt.slug);
        }
    }
}

proptest! {
    #[test]
    fn no_text_is_too_strange_to_read(
        stem in any::<String>(),
        text in any::<String>(),
        lines in prop::collection::vec(
            prop::sample::select(vec![
                "---", "name: x", "tags: [", "variables:", "  a: {default: 1}", "- name: b", "&a",
                "*a", "? ", "\t", "# Role", "```", "===", "text", "!t x", "%YAML 1.1", "<<: *a",
            ]),
            0..12,
        ),
    ) {
        let _ = parse(&stem, &text);
        let _ = parse(&stem, &format!("---\n{text}\n---\n{text}"));
        let _ = parse("stem", &format!("---\n{}\n", lines.join("\n")));
    }

    #[test]
    fn front_matter_takes_nothing_of_the_body(body in "[a-z# \r\n][a-z# \r\n-]{0,40}[a-z]") {
        let with_front_matter = content_of(&format!("---\nslug: a\n---\n{body}"));

        prop_assert_eq!(with_front_matter.layout, content_of(&body).layout);
    }
}
