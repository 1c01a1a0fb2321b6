//! Builds with the builder that Docker had before BuildKit.

mod bases;
mod names;
mod query;
mod source;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use boxwright_core::{
    BuildOutput, BuildRequest, Digest, Error, ErrorKind, PullPolicy, Result, Session,
};
use boxwright_http::http::header::CONTENT_TYPE;
use boxwright_http::http::{HeaderValue, Method};

use crate::api::{Messages, request_with};
use crate::config::Builder;
use crate::daemon::Daemon;
use crate::events::Steps;
use crate::{auth, errors, images};

/// How long the daemon has to remove the container of a build that was cancelled.
const CANCEL_LIMIT: Duration = Duration::from_secs(30);

/// Builds `request`.
///
/// # Errors
///
/// As [`Engine::build`](boxwright_core::Engine::build).
pub(crate) async fn build(
    daemon: &Daemon,
    request: &BuildRequest,
    session: &Session,
) -> Result<BuildOutput> {
    refuse(daemon, request)?;
    let source = source::of(request, session)?;
    if let Some(syntax) = source.text().and_then(boxwright_dockerfile::directive::syntax) {
        let reference = syntax.reference;
        let message = format!(
            "the line `# syntax={reference}` is ignored: the classic builder reads Dockerfiles itself, no frontend is fetched"
        );
        session.events.notice(message).await;
    }
    let registries = registries(request, source.text().unwrap_or_default());
    let credentials = credentials(registries, session).await?;
    let path = format!("/build?{}", query::of(request, source.dockerfile(), source.address()));
    let mut call = request_with(Method::POST, &path, source.into_body())?;
    call.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    call.headers_mut().insert(auth::REGISTRY_CONFIG, auth::header(&credentials)?);

    let mut steps = Steps::default();
    let ended = tokio::select! {
        biased;
        () = session.cancel.cancelled() => None,
        ended = follow(daemon, call, &mut steps, session) => Some(ended),
    };
    // By now the connection is closed, which makes the daemon stop.
    let Some(ended) = ended else {
        if let Some(id) = steps.container() {
            let container = daemon.api.container(id.to_owned());
            let _ = tokio::time::timeout(CANCEL_LIMIT, container.gone()).await;
        }
        for event in steps.cancel() {
            session.events.emit(event).await;
        }
        return Err(Session::cancelled());
    };
    let built = ended?;
    let named = name(daemon, &built, request, session).await;
    if named.is_err() && steps.is_new() {
        names::remove_nameless(daemon, built.as_str()).await;
    }
    named
}

/// Gives the image its names, once it is what was asked for.
async fn name(
    daemon: &Daemon,
    built: &Digest,
    request: &BuildRequest,
    session: &Session,
) -> Result<BuildOutput> {
    let found = daemon.api.inspect(built.as_str()).await?;
    let platform = images::platform(&found);
    if let Some(wanted) = request.platform().filter(|wanted| **wanted != platform) {
        return Err(Error::new(ErrorKind::Unsupported, format!("cannot build for {wanted}"))
            .with_cause(format!(
                "the classic builder took a base image that is there, for {platform}"
            ))
            .with_remedy("build with `--builder buildkit`, or with `--pull`"));
    }
    let id = daemon.id_of(built.clone()).await?;
    names::give(daemon, built.as_str(), &request.tags, session).await?;
    Ok(BuildOutput::new(id, request.tags.clone(), Builder::Classic.as_str()))
}

/// Refuses what the classic builder would leave out without a word.
fn refuse(daemon: &Daemon, request: &BuildRequest) -> Result<()> {
    if request.pull == PullPolicy::Never {
        return Err(Error::new(ErrorKind::Unsupported, "cannot build without ever pulling")
            .with_cause("the classic builder always pulls base images that are missing")
            .with_remedy("pull the base images first, and leave `--pull=never` out"));
    }
    let own = &daemon.server.platform;
    match request.platform() {
        Some(wanted) if wanted.os() != own.os() || wanted.architecture() != own.architecture() => {
            Err(Error::new(ErrorKind::Unsupported, format!("cannot build for {wanted}"))
                .with_cause(format!("the classic builder builds for {own} alone"))
                .with_remedy("build with `--builder buildkit`"))
        }
        _ => Ok(()),
    }
}

/// Reports what the daemon does until it is done, and returns its id of the image.
async fn follow(
    daemon: &Daemon,
    call: boxwright_http::http::Request<boxwright_http::Body>,
    steps: &mut Steps,
    session: &Session,
) -> Result<Digest> {
    let refused = |_, words: &str| errors::build_failed(None, None, words);
    let mut messages: Messages = daemon.api.call(call, refused).await?;
    loop {
        let message = match messages.next().await {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(error) => {
                for event in steps.end(Some((&error.to_string(), None))) {
                    session.events.emit(event).await;
                }
                return Err(error);
            }
        };
        if let Some(words) = message.failure() {
            let code = message.error_detail.as_ref().and_then(|detail| detail.code);
            let error = errors::build_failed(steps.step(), code, words);
            for event in steps.end(Some((words, code))) {
                session.events.emit(event).await;
            }
            return Err(error);
        }
        for event in steps.events(&message) {
            session.events.emit(event).await;
        }
    }
    let image = steps.image().ok_or_else(|| {
        Error::new(ErrorKind::Protocol, "the daemon ended the build and named no image")
            .with_remedy("see whether the daemon still runs, and what its log says")
    })?;
    images::digest(image)
}

/// Returns the registries that the build may pull from.
fn registries(request: &BuildRequest, text: &str) -> BTreeSet<String> {
    let mut registries = bases::registries(text, &request.build_args);
    registries.extend(request.cache_from.iter().map(|image| image.registry().to_owned()));
    registries
}

/// Returns the user's credentials for `registries`, by the daemon's names for them.
async fn credentials(
    registries: BTreeSet<String>,
    session: &Session,
) -> Result<HashMap<String, DockerCredentials>> {
    let mut credentials = HashMap::new();
    for host in registries {
        if let Some(credential) = session.credentials.for_registry(&host).await? {
            let key = auth::key(&host).to_owned();
            credentials.insert(key, auth::credentials(&host, &credential)?);
        }
    }
    Ok(credentials)
}
