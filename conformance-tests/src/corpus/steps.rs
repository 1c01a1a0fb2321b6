//! Cases that build several times with one cache, and look at what comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use boxwright_core::{BuildRequest, DockerfileSource, ImageRef, PushRequest, Secret, Session};
use boxwright_dockerfile::plan::Options;
use boxwright_testkit::{FileServer, Page};

use super::build::{check_failure, request_for, unsupported_or, words};
use super::case::Around;
use super::check::{self, Check, Exports};
use super::context::Entry;
use super::facts::Fact;
use super::request::{self, Attribute};
use crate::case::{CaseResult, Failure};
use crate::cx::Cx;
use crate::environment::RegistryKind;

/// A case that builds several times.
#[derive(Debug)]
pub(super) struct Steps {
    /// What servers serve, by the name that stands for their addresses.
    pub(super) servers: BTreeMap<String, BTreeMap<String, Page>>,
    pub(super) steps: Vec<Step>,
}

/// One build.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) context: Vec<Entry>,
    /// Further contexts, by name.
    pub(super) mounts: BTreeMap<String, Vec<Entry>>,
    /// The path of the Dockerfile in the context.
    pub(super) file: String,
    /// Its text.
    pub(super) text: String,
    pub(super) attributes: Vec<Attribute>,
    /// Values by id.
    pub(super) secrets: BTreeMap<String, String>,
    pub(super) exports: Vec<Export>,
    pub(super) succeeds: bool,
    /// What its error names.
    pub(super) facts: Vec<Fact>,
    pub(super) checks: Vec<Check>,
}

/// Where the result of a step goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Export {
    /// The file system, into a folder.
    Root { dest: String },
    /// An OCI layout, into a folder.
    Layout { dest: String },
    /// Under a name.
    Image { name: String, pushed: bool },
}

impl Steps {
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.text.as_str())
    }

    pub(super) async fn run(&self, cx: &Cx, around: &Arc<Around>) -> CaseResult {
        let mut placeholders = Placeholders::new(cx)?;
        let mut servers = Vec::new();
        for (name, pages) in &self.servers {
            let pages = pages.iter().map(|(path, page)| {
                let etag = page.etag.as_ref().map(|text| placeholders.fill(text));
                (path.clone(), Page { etag, ..page.clone() })
            });
            let server = FileServer::start(pages.collect()).await?;
            placeholders.add(name, server.address());
            servers.push(server);
        }
        let mut exports = Exports::default();
        for (number, step) in self.steps.iter().enumerate() {
            let done = step.run(cx, around, &placeholders, &mut exports).await;
            done.map_err(|failure| in_step(number + 1, self.steps.len(), failure))?;
        }
        Ok(())
    }
}

/// Says in which step it was, unless there is one alone.
fn in_step(number: usize, count: usize, failure: Failure) -> Failure {
    if count == 1 {
        return failure;
    }
    match failure {
        Failure::Promise { message, place } => {
            Failure::Promise { message: format!("step {number}: {message}"), place }
        }
        Failure::Refused { reason, remedy } => {
            Failure::Refused { reason: format!("step {number}: {reason}"), remedy }
        }
        Failure::Harness(message) => Failure::Harness(format!("step {number}: {message}")),
        Failure::Engine(error) => {
            Failure::Engine(Box::new(error.with_context("step of the case", number.to_string())))
        }
    }
}

impl Step {
    async fn run(
        &self,
        cx: &Cx,
        around: &Arc<Around>,
        placeholders: &Placeholders,
        exports: &mut Exports,
    ) -> CaseResult {
        let (request, session) = self.request(cx, around, placeholders)?;
        let attempt = cx.attempt_in(&request, session).await;
        let output = match (attempt.result, self.succeeds) {
            (Ok(output), true) => output,
            (Ok(_), false) => {
                return Err(Failure::promise("the build should fail, and succeeds"));
            }
            (Err(error), true) => return Err(unsupported_or(error)),
            (Err(error), false) => {
                let words = words(&error);
                check_failure(error, None, None)?;
                return self.facts.iter().try_for_each(|fact| fact.check(&words));
            }
        };
        let image = cx.read(output.id).await?;
        if let Some(schemas) = &around.schemas {
            schemas.check_image(&image).await?;
        }
        for export in &self.exports {
            let (dest, is_layout) = match export {
                Export::Root { dest } => (dest, false),
                Export::Layout { dest } => (dest, true),
                Export::Image { name, pushed } => {
                    if *pushed {
                        let name = image_name(&placeholders.fill(name))?;
                        cx.engine().push(&PushRequest::new(name), &cx.session()).await?;
                    }
                    continue;
                }
            };
            exports.add(dest.clone(), check::Export { image: image.clone(), is_layout });
        }
        for check in &self.checks {
            check.run(exports, &image).await?;
        }
        Ok(())
    }

    fn request(
        &self,
        cx: &Cx,
        around: &Around,
        placeholders: &Placeholders,
    ) -> CaseResult<(BuildRequest, Session)> {
        let folder = cx.scratch("context");
        std::fs::create_dir(&folder)?;
        for entry in &self.context {
            entry.with_text(|text| placeholders.fill(text)).make(&folder)?;
        }
        let mut request = request_for(cx, &folder)?;
        for attribute in &self.attributes {
            attribute.apply(&mut request)?;
        }
        let mut folders = BTreeMap::new();
        for (name, entries) in &self.mounts {
            let folder = cx.scratch("further");
            std::fs::create_dir(&folder)?;
            for entry in entries {
                entry.with_text(|text| placeholders.fill(text)).make(&folder)?;
            }
            folders.insert(name.clone(), folder);
        }
        for attribute in &self.attributes {
            if let Attribute::Context(name, value) = attribute {
                let value = placeholders.fill(value);
                let context = request::named(&value, &around.names, &folders)?;
                request.contexts.insert(name.clone(), context);
            }
        }
        let options = Options {
            target: request.target.clone(),
            build_args: request::build_args(&self.attributes),
            contexts: request::contexts(&self.attributes),
            ..Options::default()
        };
        let written = placeholders.fill(&self.text);
        let text = around.names.rewrite(&written, &options);
        request.dockerfile = if text == written {
            DockerfileSource::Path(self.file.clone().into())
        } else {
            let place = cx.scratch("dockerfile");
            std::fs::create_dir(&place)?;
            std::fs::write(place.join("Dockerfile"), text)?;
            DockerfileSource::Path(place.join("Dockerfile"))
        };
        for export in &self.exports {
            if let Export::Image { name, .. } = export {
                request.tags.push(image_name(&placeholders.fill(name))?);
            }
        }
        let mut session = cx.session();
        request.secrets = self.secrets.keys().cloned().collect();
        let secrets =
            self.secrets.iter().map(|(id, value)| (id.clone(), Secret::from(value.as_str())));
        session.secrets = Arc::new(secrets.collect());
        Ok((request, session))
    }
}

fn image_name(text: &str) -> CaseResult<ImageRef> {
    text.parse().map_err(|error| Failure::harness(format!("{error}")))
}

/// What stands for addresses and folders that only a run knows.
struct Placeholders(BTreeMap<String, String>);

impl Placeholders {
    fn new(cx: &Cx) -> CaseResult<Self> {
        let mut all = BTreeMap::new();
        // A path of the case's own in the registry, so that nothing is there in the beginning.
        let registry = cx.environment().registry(RegistryKind::Open);
        if let Ok(registry) = registry {
            all.insert("REGISTRY".to_owned(), format!("{registry}/{}", cx.slug()));
        }
        all.insert("CACHE".to_owned(), cx.scratch("cache").display().to_string());
        all.insert("ID".to_owned(), "boxwright".to_owned());
        Ok(Self(all))
    }

    fn add(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), value);
    }

    fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.0 {
            text = text.replace(&format!("{{{{{name}}}}}"), value);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_other_braces_stay() {
        let placeholders =
            Placeholders([("HTTP1".to_owned(), "http://127.0.0.1:1".to_owned())].into());
        let text = "ADD {{HTTP1}}/a /\nENV a=${b} c={{d}}\n";
        let filled = "ADD http://127.0.0.1:1/a /\nENV a=${b} c={{d}}\n";
        assert_eq!(placeholders.fill(text), filled);
    }

    #[test]
    fn a_failure_says_in_which_step_it_was() {
        let failure = in_step(2, 3, Failure::harness("it is gone"));
        assert_eq!(failure.to_string(), "step 2: it is gone");
        assert_eq!(in_step(1, 1, Failure::harness("it is gone")).to_string(), "it is gone");
    }
}
