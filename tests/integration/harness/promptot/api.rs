//! What PromptOT answers.

use std::collections::BTreeSet;

use http::header::AUTHORIZATION;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use prompt_edge::model::Reads;
use prompt_edge::wire::{ETag, query};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Draft, KEYS, Prompt, Prompts};
use crate::harness::vendor::Said;

/// Where the API is.
pub(super) const BASE: &str = "/api/v1";

/// One answer, with its tag; 304 if the tag is known.
pub(super) fn answer(prompts: &Prompts, revoked: &BTreeSet<&str>, asked: &Parts) -> Said {
    let Some((project, reads)) = admitted(revoked, asked) else {
        return refusal(401, "UNAUTHORIZED", "Missing or invalid API key");
    };
    let data = match data(prompts, asked, project, reads) {
        Ok(data) => data,
        Err(refusal) => return refusal,
    };
    let tag = ETag::of(data.to_string().as_bytes());
    if tag.is_named_by(&asked.headers) {
        return Said::status(304).with("etag", tag.as_str());
    }
    Said::json(json!({ "data": with_tag(data, &tag), "error": null })).with("etag", tag.as_str())
}

/// Whose prompts the key reads, and which version of them.
fn admitted(revoked: &BTreeSet<&str>, asked: &Parts) -> Option<(Uuid, Reads)> {
    let key = asked.headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let mut good = KEYS.into_iter().filter(|(known, ..)| !revoked.contains(known));
    let known = good.find(|(known, ..)| *known == key);
    known.map(|(_, project, reads)| (project, reads))
}

fn data(prompts: &Prompts, asked: &Parts, project: Uuid, reads: Reads) -> Result<Value, Said> {
    let own = || prompts.iter().filter(|((of, _), _)| *of == project);
    let path: Vec<_> = asked.uri.path().strip_prefix(BASE).unwrap_or_default().split('/').collect();
    let (name, is_compiled) = match path[..] {
        ["", "prompts"] => return Ok(own().filter_map(|(key, p)| p.line(&key.1, reads)).collect()),
        ["", "prompts", name] => (name, false),
        ["", "prompts", name, "compiled"] => (name, true),
        _ => return Err(refusal(404, "NOT_FOUND", "Route not found")),
    };
    let name = percent_decode_str(name).decode_utf8_lossy();
    let variables = variables(asked)?;
    let missing = || refusal(404, "NOT_FOUND", "Prompt not found");
    let is_meant = |slug: &str, prompt: &Prompt| slug == name || prompt.id.to_string() == *name;
    let mut named = own().filter(|((_, slug), prompt)| is_meant(slug, prompt));
    let ((_, slug), prompt) = named.next().ok_or_else(missing)?;
    let (number, draft) = prompt.served(reads).ok_or_else(missing)?;
    let text = draft.compiled(&variables)?;
    Ok(match is_compiled {
        true => json!({
            "prompt": text,
            "version": number.to_string(),
            "tokens": text.split_whitespace().count(),
            "variables_used": draft.used(),
            "prompt_id": prompt.id.to_string(),
            "project_id": project.to_string(),
        }),
        false => json!({
            "id": prompt.id.to_string(),
            "name": slug.to_uppercase(),
            "compiled_prompt": text,
            "model_config": draft.model_config,
            "variables": draft.declared(),
            "version": number,
        }),
    })
}

/// The frozen shape repeats the tag, and so does no other.
fn with_tag(mut data: Value, tag: &ETag) -> Value {
    if let Value::Object(fields) = &mut data
        && fields.contains_key("compiled_prompt")
    {
        fields.insert("etag".to_owned(), tag.as_str().into());
    }
    data
}

/// The query's variables.
fn variables(asked: &Parts) -> Result<Map<String, Value>, Said> {
    let pairs: Vec<_> = query::pairs(asked.uri.query().unwrap_or_default()).collect();
    let Some((_, json)) = pairs.iter().find(|(name, _)| **name == *b"variables") else {
        return Ok(Map::new());
    };
    let invalid = |_| refusal(400, "VALIDATION_ERROR", "`variables` must be a JSON object");
    serde_json::from_slice(json).map_err(invalid)
}

fn refusal(status: u16, code: &str, message: &str) -> Said {
    let body = json!({ "data": null, "error": { "code": code, "message": message } });
    Said { status, ..Said::json(body) }
}

impl Prompt {
    /// The version that such a reader is served, and its number.
    fn served(&self, reads: Reads) -> Option<(usize, &Draft)> {
        let number = match reads {
            Reads::Draft => self.versions.len(),
            Reads::Published => self.published,
        };
        Some((number, self.versions.get(number.checked_sub(1)?)?))
    }

    /// Its line in the list of such a reader.
    fn line(&self, slug: &str, reads: Reads) -> Option<Value> {
        let (number, _) = self.served(reads)?;
        Some(json!({
            "id": self.id.to_string(),
            "name": slug.to_uppercase(),
            "slug": slug,
            "current_version": number.to_string(),
        }))
    }
}

impl Draft {
    /// The names between braces, first appearance first.
    fn used(&self) -> Vec<&str> {
        let mut used = Vec::new();
        for piece in self.text.split("{{").skip(1) {
            let name = piece.split("}}").next().unwrap_or_default();
            if !used.contains(&name) {
                used.push(name);
            }
        }
        used
    }

    fn declared(&self) -> Value {
        let default = |(key, default)| json!({ "key": key, "default_value": default });
        self.defaults.iter().copied().map(default).collect()
    }

    /// The text with every variable that has a value.
    fn compiled(&self, variables: &Map<String, Value>) -> Result<String, Said> {
        let missing = self.required.iter().find(|name| !variables.contains_key(**name));
        if let Some(name) = missing {
            let message = format!("Missing required variable: {name}");
            return Err(refusal(400, "VALIDATION_ERROR", &message));
        }
        let defaults =
            self.defaults.iter().filter_map(|(name, default)| Some((*name, (*default)?)));
        let given = variables.iter().filter_map(|(name, value)| Some((&**name, value.as_str()?)));
        let values = given.chain(defaults);
        let text = values.fold(self.text.clone(), |text, (name, value)| {
            text.replace(&format!("{{{{{name}}}}}"), value)
        });
        Ok(text + "\n")
    }
}
