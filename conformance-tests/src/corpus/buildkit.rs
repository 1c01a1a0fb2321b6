//! `buildkit-dockerfile`: builds in several steps with checks on what comes out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boxwright_testkit::Page;
use serde_json::Value;

use super::case::{Around, CorpusCase, Images, Job};
use super::check::Check;
use super::context::Entry;
use super::facts::Fact;
use super::fields::Fields;
use super::request::Attribute;
use super::steps::{Export, Step, Steps};
use super::{Index, expect, read_index};
use crate::case::{CaseResult, Failure};

pub(super) const NAME: &str = "buildkit-dockerfile";

const OF_CASE: &[&str] = &["base_images", "category", "func", "source", "worker_features"];

const OF_STEP: &[&str] =
    &["base_images", "copy_from_images", "features", "flags", "n", "subtest", "syntax"];

pub(super) fn read(folder: &Path, around: &Arc<Around>) -> CaseResult<Vec<CorpusCase>> {
    let Index { cases, rest } = read_index(&folder.join("index.json"))?;
    rest.finish(&["note"])?;
    let case = |(id, images, fields): (String, Images, Fields)| {
        CorpusCase::new(NAME, &id, images, one(fields).map(Job::Steps), around)
    };
    Ok(cases.into_iter().map(case).collect())
}

fn one(mut fields: Fields) -> CaseResult<Steps> {
    for need in fields.texts("needs")? {
        if !matches!(need.as_str(), "loopback registry" | "loopback http server") {
            return Err(Failure::harness(format!("`{need}` is an unknown need")));
        }
    }
    let mut servers = BTreeMap::new();
    for (name, pages) in fields.map("http_servers")? {
        let Value::Object(pages) = pages else {
            return Err(Failure::harness(format!("the server `{name}` is no object")));
        };
        let pages = pages.into_iter().map(|(path, value)| Ok((path, page(value)?)));
        servers.insert(name, pages.collect::<CaseResult<_>>()?);
    }
    let steps = fields.list("steps")?.into_iter().map(step).collect::<CaseResult<_>>()?;
    fields.finish(OF_CASE)?;
    Ok(Steps { servers, steps })
}

fn page(value: Value) -> CaseResult<Page> {
    let mut fields = Fields::of(value, "a page of a server")?;
    let content = match fields.optional_text("ContentB64")? {
        Some(text) => STANDARD
            .decode(text)
            .map_err(|error| Failure::harness(format!("`ContentB64` of a page: {error}")))?,
        None => fields.text("Content")?.into_bytes(),
    };
    let page = Page {
        content,
        etag: fields.optional_text("Etag")?,
        last_modified: fields.optional_text("LastModified")?,
    };
    fields.finish(&[])?;
    Ok(page)
}

fn step(value: Value) -> CaseResult<Step> {
    let mut fields = Fields::of(value, "a step")?;
    if !fields.flag("usable")? {
        return Err(Failure::harness("a step is incomplete"));
    }
    let mut attributes = Vec::new();
    for (name, value) in fields.text_map("frontend_attrs")? {
        attributes.push(Attribute::read(&name, &value)?);
    }
    for (name, value) in fields.text_map("build_args")? {
        attributes.push(Attribute::BuildArg(name, value));
    }
    attributes.extend(fields.optional_text("target")?.map(Attribute::Target));
    for (list, reason) in [
        ("cache_to", "no request says where the cache is exported to"),
        ("cache_from", "no request takes the cache from where another build exported it to"),
        ("source_policy", "no request replaces one source by another"),
    ] {
        if !fields.list(list)?.is_empty() {
            attributes.push(Attribute::Refused(reason, "leave it out"));
        }
    }
    let mut mounts = BTreeMap::new();
    for (name, entries) in fields.map("extra_local_mounts")? {
        let Value::Array(entries) = entries else {
            return Err(Failure::harness(format!("the context `{name}` is no list")));
        };
        mounts.insert(name, Entry::read_all(entries)?);
    }
    let mut facts = Vec::new();
    for list in ["error_contains", "error_regex"] {
        for words in fields.texts(list)? {
            facts.push(Fact::read(words)?);
        }
    }
    let step = Step {
        context: Entry::read_all(fields.list("context")?)?,
        mounts,
        file: fields.text("dockerfile_name")?,
        text: fields.text("dockerfile")?,
        attributes,
        secrets: fields.text_map("secrets")?,
        exports: fields.list("exports")?.into_iter().map(export).collect::<CaseResult<_>>()?,
        succeeds: expect(&mut fields)?,
        facts,
        checks: fields.list("checks")?.into_iter().map(Check::read).collect::<CaseResult<_>>()?,
    };
    fields.finish(OF_STEP)?;
    Ok(step)
}

fn export(value: Value) -> CaseResult<Export> {
    let mut fields = Fields::of(value, "an export")?;
    let kind = fields.text("type")?;
    let mut attributes = fields.text_map("attrs")?;
    let export = match kind.as_str() {
        "local" => Export::Root { dest: fields.text("dest")? },
        "oci" => {
            let tar = attributes.remove("tar");
            if tar.as_deref() != Some("false") {
                return Err(Failure::harness(format!("a layout as tar={tar:?} is unknown")));
            }
            Export::Layout { dest: fields.text("dest")? }
        }
        "image" => {
            let name = attributes.remove("name");
            let pushed = match attributes.remove("push").as_deref() {
                None | Some("false") => false,
                Some("true") => true,
                Some(other) => return Err(Failure::harness(format!("`push={other}` is unknown"))),
            };
            let name = name.ok_or_else(|| Failure::harness("an exported image has no name"))?;
            Export::Image { name, pushed }
        }
        other => return Err(Failure::harness(format!("`{other}` is no kind of export"))),
    };
    if let Some(name) = attributes.keys().next() {
        return Err(Failure::harness(format!("`{name}` of an export is unknown")));
    }
    fields.finish(&[])?;
    Ok(export)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_step_with_anything_new_is_broken() {
        let right = json!({
            "usable": true, "context": [], "dockerfile_name": "Dockerfile", "dockerfile": "FROM scratch",
            "exports": [{"type": "local", "dest": "a"}], "expect": "ok",
        });
        step(right.clone()).unwrap();
        for (field, value) in [
            ("usable", json!(false)),
            ("expect", json!("maybe")),
            ("exports", json!([{"type": "tar", "dest": "a"}])),
            ("exports", json!([{"type": "local", "dest": "a", "attrs": {"mode": "min"}}])),
            ("frontend_attrs", json!({"new": "x"})),
            ("error_contains", json!(["new words"])),
            ("new", json!(1)),
        ] {
            let mut wrong = right.clone();
            wrong[field] = value;
            assert!(matches!(step(wrong), Err(Failure::Harness(_))), "{field}");
        }
    }
}
