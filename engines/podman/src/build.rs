//! Builds an image with Buildah, in the service.

use std::collections::BTreeSet;
use std::time::Duration;

use boxwright_core::{
    BuildOutput, BuildRequest, CacheUse, ContextSource, Digest, Error, ErrorKind, ImageRef,
    LocalImage, Platform, Result, Session,
};
use boxwright_dockerfile::instruction::{Action, MountOption};
use boxwright_dockerfile::{Dockerfile, directive, features};
use boxwright_http::http::{HeaderValue, Method, header};
use boxwright_http::{HeldBody, Lines, lines};
use futures_util::StreamExt as _;

use crate::api::{Api, parse, request};
use crate::context::Sent;
use crate::events::BuildLog;
use crate::interrupt::Mark;
use crate::wire::Line;
use crate::{auth, bases, errors, images, options, provider, push, tags};

/// How long a cancelled build may take to end while its steps are being ended.
const END_LIMIT: Duration = Duration::from_secs(10);

/// How often its steps are looked for.
const END_PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn build(
    api: &Api,
    wanted: &BuildRequest,
    session: &Session,
) -> Result<BuildOutput> {
    let mut id = match attempt(api, wanted, session).await {
        // QUIRK(buildah 1.28): a step's runtime is killed when a thread of the service ends, at random; and a build
        // fails when an image is removed beside it.
        // https://github.com/containers/podman/issues/17918
        Err(error)
            if errors::is_broken_off(&error)
                && wanted.context != ContextSource::Tar
                && !session.cancel.is_cancelled() =>
        {
            session.events.notice("the service broke the build off; it starts again").await;
            attempt(api, wanted, session).await?
        }
        attempted => attempted?,
    };
    if let Some(platform) = wanted.platform()
        && !is_for(api, &id, platform).await?
    {
        // QUIRK(buildah 1.28): cached steps are compared by history alone, so `FROM scratch` for one platform takes what
        // was built for another.
        let message = format!("the cached steps are not for {platform}; they run again");
        session.events.notice(message).await;
        let mut again = wanted.clone();
        again.cache = CacheUse::Ignore;
        id = attempt(api, &again, session).await?;
        if !is_for(api, &id, platform).await? {
            let base = format!("the base image is not for {platform}");
            return Err(Error::new(ErrorKind::NotFound, format!("cannot build for {platform}"))
                .with_cause(base)
                .with_remedy("name a base image that has the platform, and use `--pull=always`"));
        }
    }
    tags::apply(api, &id, &wanted.tags).await?;
    Ok(BuildOutput::new(id, wanted.tags.clone(), provider::BUILDER))
}

async fn is_for(api: &Api, id: &Digest, platform: &Platform) -> Result<bool> {
    let found = images::inspect(api, &LocalImage::from(id.clone())).await?.platform;
    // The service does not tell a variant.
    Ok((found.os(), found.architecture()) == (platform.os(), platform.architecture()))
}

/// Builds, and returns the image without a name.
async fn attempt(api: &Api, wanted: &BuildRequest, session: &Session) -> Result<Digest> {
    let context = Sent::open(wanted, session).await?;
    let registries = match &context.text {
        Some(text) => {
            look_at_syntax(text, session).await?;
            refuse_bare_required(text)?;
            bases::registries(text, &wanted.build_args)
        }
        None => BTreeSet::new(),
    };
    let registries = with_cache_sources(registries, &wanted.cache_from);
    for registry in &registries {
        push::refuse_mirrors(registry, session, "cannot take base images from their registry")?;
    }
    let mark = Mark::new();
    let mut address = options::address(api, wanted, &context, mark)?;
    if all_may_be_unverified(&registries, session) {
        address = address.with("tlsVerify", "false");
    }
    note_cache_sources(&wanted.cache_from, session).await;
    let mut request = request(Method::POST, &address, context.body)?;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    let credentials = auth::for_registries(registries.iter().map(String::as_str), session).await?;
    if let Some(credentials) = credentials {
        headers.insert(auth::MANY, credentials);
    }
    let running = Running { api, session, mark, log: BuildLog::default() };
    let answer = tokio::select! {
        biased;
        () = session.cancel.cancelled() => return Err(running.end(None).await),
        answer = api.stream(request, "cannot build") => answer?,
    };
    let id = running.follow(lines(answer.into_body())).await?;
    images::id(&id)
}

/// Tells that a `# syntax=` line counts for nothing here, or refuses one that asks for another language.
async fn look_at_syntax(text: &str, session: &Session) -> Result<()> {
    let Some(line) = directive::syntax(text) else { return Ok(()) };
    let image = line.reference;
    if !features::is_own_frontend(&image) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("cannot build with the frontend `{image}`"),
        )
        .with_cause("Buildah reads Dockerfiles itself, and runs no frontend")
        .with_remedy("leave the `# syntax=` line out if the file is a plain Dockerfile"));
    }
    session
        .events
        .notice(format!("`# syntax={image}` is not fetched: Buildah reads the file itself"))
        .await;
    Ok(())
}

/// Refuses a mount of a secret that is `required` and gives it no value.
fn refuse_bare_required(text: &str) -> Result<()> {
    // QUIRK(podman): Buildah reads past the end of such an option and panics, and the service ends with it.
    // https://github.com/podman-container-tools/buildah/issues/6997
    let Ok(file) = Dockerfile::parse(text) else { return Ok(()) };
    let all = file.stages.iter().flat_map(|stage| &stage.instructions);
    let mut mounts = all.flat_map(|instruction| match &instruction.action {
        Action::Run(run) => run.mounts.as_slice(),
        _ => &[],
    });
    let is_bare = |option: &MountOption| option.key == "required" && option.value.is_none();
    match mounts.find(|(_, options)| options.iter().any(is_bare)) {
        None => Ok(()),
        Some((mount, _)) => {
            let error = Error::new(ErrorKind::Unsupported, format!("cannot use `{}`", mount.text));
            Err(error
                .with_cause("Buildah ends when `required` has no value")
                .with_remedy("write `required=true`"))
        }
    }
}

fn with_cache_sources(mut registries: BTreeSet<String>, sources: &[ImageRef]) -> BTreeSet<String> {
    registries.extend(sources.iter().map(|source| source.registry().to_owned()));
    registries
}

/// Says what Buildah makes of images to take steps from, which is not what others do.
async fn note_cache_sources(sources: &[ImageRef], session: &Session) {
    for source in sources {
        let message = format!(
            "Buildah takes steps from the repository `{}` as `podman build --cache-to` fills it, and ignores the tag",
            source.name()
        );
        session.events.notice(message).await;
    }
}

/// Whether the one setting that the service has for TLS may be off: no registry is concerned that it protects.
fn all_may_be_unverified(registries: &BTreeSet<String>, session: &Session) -> bool {
    let may = |registry: &String| {
        let setting = session.registries.get(registry);
        push::is_insecure(setting) || push::may_be_plain(registry, setting)
    };
    !registries.is_empty() && registries.iter().all(may)
}

/// A build under way.
struct Running<'a> {
    api: &'a Api,
    session: &'a Session,
    mark: Mark,
    log: BuildLog,
}

impl Running<'_> {
    /// Reports what the build says, and returns the image that it said last.
    async fn follow(mut self, mut lines: Lines<HeldBody>) -> Result<String> {
        loop {
            let line = tokio::select! {
                biased;
                () = self.session.cancel.cancelled() => return Err(self.end(Some(lines)).await),
                line = lines.next() => line,
            };
            let Some(line) = line else { break };
            let line: Line = parse(&line?)?;
            if let Some(text) = line.failure() {
                let error =
                    errors::of_build(self.log.instruction(), text, self.log.runtime_failure());
                let exit_code = error.context().iter().find(|(name, _)| *name == "exit code");
                let exit_code = exit_code.and_then(|(_, code)| code.parse().ok());
                for event in self.log.failed(&error.to_string(), exit_code) {
                    self.session.events.emit(event).await;
                }
                return Err(error);
            }
            for event in self.log.text(line.stream.as_deref().unwrap_or_default()) {
                self.session.events.emit(event).await;
            }
        }
        let (events, image) = self.log.finished();
        for event in events {
            self.session.events.emit(event).await;
        }
        image.ok_or_else(|| {
            Error::new(ErrorKind::Protocol, "the build ended without an image")
                .with_cause("the service said neither an image nor an error")
                .with_remedy("see what the log of the service says")
        })
    }

    /// Ends the build: its step first, so that Buildah itself sees it fail and cleans up while the connection is
    /// open; the connection once no step is left.
    async fn end(mut self, lines: Option<Lines<HeldBody>>) -> Error {
        let mut lines = lines;
        if self.api.endpoint().is_unix() {
            let ending = self.end_steps(&mut lines);
            // At the limit the connection is closed with the step still there, which is all that is left to do.
            let _ = tokio::time::timeout(END_LIMIT, ending).await;
        } else {
            let message = "the step under way goes on in the service until it ends by itself";
            self.session.events.warn(message, Some("end it on that machine if it must not")).await;
        }
        drop(lines);
        for event in self.log.cancelled() {
            self.session.events.emit(event).await;
        }
        Session::cancelled()
    }

    async fn end_steps(&self, lines: &mut Option<Lines<HeldBody>>) {
        let mut quiet_rounds = 0;
        while quiet_rounds < 6 {
            let mark = self.mark;
            let ended =
                tokio::task::spawn_blocking(move || mark.end_processes()).await.unwrap_or(0);
            quiet_rounds = if ended == 0 { quiet_rounds + 1 } else { 0 };
            match lines {
                // Between two steps, or in a transfer: closing the connection ends that.
                Some(_) if quiet_rounds == 3 => *lines = None,
                Some(open) => {
                    let ended = async { while let Some(Ok(_)) = open.next().await {} };
                    if tokio::time::timeout(END_PAUSE, ended).await.is_ok() {
                        return;
                    }
                }
                None => tokio::time::sleep(END_PAUSE).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_would_end_the_service_is_refused() {
        let text = |options: &str| {
            format!("FROM scratch\nRUN --mount=type=secret,id=a,{options} cat /run/secrets/a\n")
        };
        let error = refuse_bare_required(&text("required")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.remedy(), Some("write `required=true`"));
        refuse_bare_required(&text("required=true")).unwrap();
        // What cannot be read is the service's to refuse.
        refuse_bare_required("COPPY a b").unwrap();
    }
}
