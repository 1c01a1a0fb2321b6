//! Validates requests, gates on capabilities, and stamps errors: once, for every engine.

use std::sync::Arc;

use async_trait::async_trait;

use crate::capability::{Capabilities, Capability, Support};
use crate::engine::{Engine, EngineInfo};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::feature::Feature;
use crate::image_ref::{ImageRef, LocalImage};
use crate::request::{
    BuildOutput, BuildRequest, ContextSource, DockerfileSource, ExportRequest, ImageDetails,
    ImageSummary, ImportOutput, ImportRequest, PruneOutput, PullOutput, PullRequest, PushOutput,
    PushRequest, RemoveOutput, RemoveRequest, RunOutput, RunRequest,
};
use crate::session::Session;
use crate::step::StepRunner;
use crate::store::ImageStore;

/// An engine whose requests are validated before they reach it and whose errors say where they come from.
#[derive(Debug)]
pub struct Checked(Arc<dyn Engine>);

impl Checked {
    /// Wraps `engine`.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self(engine)
    }

    fn stamp<T>(&self, operation: Operation, result: Result<T>) -> Result<T> {
        let info = self.0.info();
        result.map_err(|error| error.at(info.name.clone(), &info.endpoint, operation))
    }

    fn gate(&self, session: &Session, needs: &[Capability]) -> Result<()> {
        if session.cancel.is_cancelled() {
            return Err(Session::cancelled());
        }
        needs.iter().try_for_each(|&capability| self.0.capabilities().require(capability))
    }
}

fn validate_build(request: &BuildRequest, session: &Session) -> Result<()> {
    let invalid = |message: String| Err(Error::new(ErrorKind::InvalidInput, message));
    if let ContextSource::Folder(folder) = &request.context {
        check_folder(folder)?;
        if let DockerfileSource::Path(path) = &request.dockerfile {
            check_dockerfile(&folder.join(path))?;
        }
    }
    for name in request.build_args.keys() {
        if name.is_empty() || name.contains(['=', '\0', ' ']) {
            return invalid(format!("`{name}` is not a name for a build argument"));
        }
    }
    if let Some(name) = request.labels.keys().find(|name| name.is_empty()) {
        return invalid(format!("`{name}` is not a name for a label"));
    }
    if let Some(tag) = request.tags.iter().find(|tag| tag.digest().is_some()) {
        return Err(Error::new(ErrorKind::InvalidInput, format!("cannot name an image `{tag}`"))
            .with_cause("a digest is the result of a build, not a name for it")
            .with_remedy("leave `@sha256:…` out"));
    }
    request.instance_aliases.iter().try_for_each(|alias| check_alias(alias))?;
    for (number, platform) in request.platforms.iter().enumerate() {
        if request.platforms[..number].contains(platform) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("`{platform}` is named twice as a platform to build for"),
            )
            .with_remedy("name each platform once"));
        }
    }
    for id in &request.secrets {
        if !session.secrets.contains_key(id) {
            return invalid(format!("the session has no secret `{id}`"));
        }
    }
    for id in &request.ssh {
        if !session.ssh_agents.contains_key(id) {
            return invalid(format!("the session has no ssh agent `{id}`"));
        }
    }
    Ok(())
}

/// Fails unless `alias` can be named on a command line and in an address.
fn check_alias(alias: &str) -> Result<()> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    // None of its parts is empty, and none leads up.
    let is_part = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric());
    if alias.split('/').all(is_part) && alias.chars().all(is_good) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidInput, format!("`{alias}` is no alias"))
        .with_cause("instances are launched by it, and a colon is the end of a remote's name")
        .with_remedy("use letters, digits, `-`, `_`, `.` and `/`, such as `api/1.4`"))
}

fn check_folder(folder: &std::path::Path) -> Result<()> {
    let shown = folder.display();
    let cannot = |kind, cause: std::io::Error| {
        Error::new(kind, format!("cannot read the context `{shown}`")).with_source(cause)
    };
    match std::fs::read_dir(folder) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(cannot(ErrorKind::NotFound, error)
                .with_remedy("name the folder that holds the Dockerfile, such as `.`"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            Err(cannot(ErrorKind::InvalidInput, error)
                .with_remedy("name a folder, and the Dockerfile with `--file`"))
        }
        Err(error) => Err(cannot(ErrorKind::InvalidInput, error)),
    }
}

fn check_dockerfile(file: &std::path::Path) -> Result<()> {
    let shown = file.display();
    let cannot = |kind, cause: std::io::Error| {
        Error::new(kind, format!("cannot read the Dockerfile `{shown}`")).with_source(cause)
    };
    match std::fs::File::open(file) {
        // Symbolic links out of the context are found out by whoever reads it inside the context.
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(cannot(ErrorKind::NotFound, error)
                .with_remedy("name it with `--file`; the path is seen from the context"))
        }
        Err(error) => Err(cannot(ErrorKind::InvalidInput, error)),
    }
}

#[async_trait]
impl Engine for Checked {
    fn info(&self) -> &EngineInfo {
        self.0.info()
    }

    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    fn native(&self, feature: Feature) -> Support {
        self.0.native(feature)
    }

    async fn build(&self, request: &BuildRequest, session: &Session) -> Result<BuildOutput> {
        let call = async {
            validate_build(request, session)?;
            self.gate(session, &request.needs(session))?;
            self.0.build(request, session).await
        };
        self.stamp(Operation::Build, call.await)
    }

    async fn push(&self, request: &PushRequest, session: &Session) -> Result<PushOutput> {
        let call = async {
            self.gate(session, &[Capability::Push])?;
            self.0.push(request, session).await
        };
        self.stamp(Operation::Push, call.await)
    }

    async fn pull(&self, request: &PullRequest, session: &Session) -> Result<PullOutput> {
        let call = async {
            self.gate(session, &[Capability::Pull])?;
            self.0.pull(request, session).await
        };
        self.stamp(Operation::Pull, call.await)
    }

    async fn inspect(&self, image: &LocalImage, session: &Session) -> Result<ImageDetails> {
        let call = async {
            self.gate(session, &[Capability::Inspect])?;
            session.cancellable(self.0.inspect(image, session)).await
        };
        self.stamp(Operation::Inspect, call.await)
    }

    async fn list(&self, session: &Session) -> Result<Vec<ImageSummary>> {
        let call = async {
            self.gate(session, &[Capability::List])?;
            session.cancellable(self.0.list(session)).await
        };
        self.stamp(Operation::List, call.await)
    }

    async fn tag(&self, image: &LocalImage, name: &ImageRef, session: &Session) -> Result<()> {
        let call = async {
            self.gate(session, &[Capability::Tag])?;
            self.0.tag(image, name, session).await
        };
        self.stamp(Operation::Tag, call.await)
    }

    async fn remove(&self, request: &RemoveRequest, session: &Session) -> Result<RemoveOutput> {
        let call = async {
            self.gate(session, &[Capability::Remove])?;
            self.0.remove(request, session).await
        };
        self.stamp(Operation::Remove, call.await)
    }

    async fn export(&self, request: &ExportRequest, session: &Session) -> Result<()> {
        let call = async {
            self.gate(session, &[Capability::Export])?;
            self.0.export(request, session).await
        };
        self.stamp(Operation::Export, call.await)
    }

    async fn import(&self, request: &ImportRequest, session: &Session) -> Result<ImportOutput> {
        let call = async {
            self.gate(session, &[Capability::Import])?;
            self.0.import(request, session).await
        };
        self.stamp(Operation::Import, call.await)
    }

    async fn run(&self, request: &RunRequest, session: &Session) -> Result<RunOutput> {
        let call = async {
            self.gate(session, &[Capability::Run])?;
            self.0.run(request, session).await
        };
        self.stamp(Operation::Run, call.await)
    }

    async fn prune(&self, session: &Session) -> Result<PruneOutput> {
        self.stamp(Operation::Prune, session.cancellable(self.0.prune(session)).await)
    }

    fn step_runner(&self) -> Option<Box<dyn StepRunner + '_>> {
        self.0.step_runner()
    }

    fn image_store(&self) -> Option<&dyn ImageStore> {
        self.0.image_store()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_part_of_a_command_and_of_an_address() {
        for good in ["api", "api/1.4", "a/b_c-D"] {
            assert!(check_alias(good).is_ok(), "{good}");
        }
        for bad in ["", "a:b", "a/../b", "a//b", "a/", "/a", "-a", "a b", "a?b", "a%2f"] {
            assert_eq!(check_alias(bad).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad}");
        }
    }
}
