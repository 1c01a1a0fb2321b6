//! Builds with the daemon's BuildKit over a session of our own.
//!
//! The daemon's API upgrades two connections to HTTP/2: on one we call its control service, on the other
//! it calls our services for files, credentials, secrets and ssh agents. So a second build of a folder
//! sends only what changed, secrets are never written anywhere, and the outcome carries its digests.

mod attributes;
mod channel;
mod credentials;
mod failures;
mod files;
mod folders;
mod follow;
mod health;
mod secrets;
mod session;
mod status;

use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use bollard_buildkit_proto::moby::buildkit::v1::{SolveRequest, SolveResponse, StatusRequest};
use boxwright_core::{BuildOutput, BuildRequest, Error, ErrorKind, PullPolicy, Result, Session};
use boxwright_http::Client;
use tonic::transport::Channel;
use tonic::{Response, Status};

pub(crate) use attributes::ImageStoreKind;
use folders::Folders;
use status::Progress;

/// The most that one message of the daemon may be, in bytes.
const MOST_BYTES: usize = 64 << 20;
/// How long the daemon has to end a build that was cancelled.
const CANCEL_LIMIT: Duration = Duration::from_secs(20);
/// How long the last events may take after the answer is there.
const LAST_EVENTS_LIMIT: Duration = Duration::from_secs(10);

/// Builds `request` on the daemon behind `client`, into its image store of the kind `store`.
///
/// # Errors
///
/// As [`Engine::build`](boxwright_core::Engine::build).
pub(crate) async fn build(
    client: &Client,
    store: ImageStoreKind,
    request: &BuildRequest,
    session: &Session,
) -> Result<BuildOutput> {
    if request.pull == PullPolicy::Never {
        return Err(Error::new(ErrorKind::Unsupported, "cannot build without ever pulling")
            .with_cause("BuildKit in Docker always pulls base images that are missing")
            .with_remedy("pull the base images first, and leave `--pull=never` out"));
    }
    let folders = Folders::of(request, session).await?;
    for message in folders.notices() {
        session.events.notice(message).await;
    }
    let id = identifier();
    let solve = attributes::solve_request(request, store, &folders.filename, &id);
    let served = session::open(client, request, session, folders, id.clone()).await?;
    let channel = channel::control(client).await?;
    let mut progress = Progress::default();
    let answer = solve_and_follow(channel, solve, &mut progress, session).await;
    for event in progress.abandon() {
        session.events.emit(event).await;
    }
    match answer.ok_or_else(Session::cancelled)? {
        Ok(response) => output(&response.into_inner(), store, request),
        Err(status) => Err(match served.noted.take() {
            Some(error) => error,
            None => failures::solve_failed(&status, progress.failed()),
        }),
    }
}

/// Has the daemon solve `solve`, and reports what it tells meanwhile. `None` when the build was
/// cancelled, and the daemon has ended it.
async fn solve_and_follow(
    channel: Channel,
    solve: SolveRequest,
    progress: &mut Progress,
    session: &Session,
) -> Option<Result<Response<SolveResponse>, Status>> {
    let status = StatusRequest { r#ref: solve.r#ref.clone() };
    let follow = follow_status(channel.clone(), status, progress, session);
    tokio::pin!(follow);
    let mut control = ControlClient::new(channel).max_decoding_message_size(MOST_BYTES);
    let mut call = Box::pin(control.solve(solve));
    let mut followed = false;
    let answer = loop {
        tokio::select! {
            answer = &mut call => break Some(answer),
            () = session.cancel.cancelled() => break None,
            () = &mut follow, if !followed => followed = true,
        }
    };
    // Dropping a call that has not ended cancels the build; its status stream ends when its steps have.
    drop(call);
    if !followed {
        let limit = if answer.is_some() { LAST_EVENTS_LIMIT } else { CANCEL_LIMIT };
        let _ = tokio::time::timeout(limit, follow).await;
    }
    answer
}

/// Reports what the daemon tells of the build until the stream ends.
async fn follow_status(
    channel: Channel,
    status: StatusRequest,
    progress: &mut Progress,
    session: &Session,
) {
    let mut control = ControlClient::new(channel).max_decoding_message_size(MOST_BYTES);
    let Ok(stream) = control.status(status).await else { return };
    let mut stream = stream.into_inner();
    while let Ok(Some(response)) = stream.message().await {
        for event in progress.events(response) {
            session.events.emit(event).await;
        }
    }
}

fn output(
    response: &SolveResponse,
    store: ImageStoreKind,
    request: &BuildRequest,
) -> Result<BuildOutput> {
    let said = |name: &str| response.exporter_response.get(name).and_then(|text| text.parse().ok());
    let digest = said("containerimage.digest");
    // The `moby` exporter calls the config's digest `containerimage.digest`; it makes no manifest.
    let (id, digest) = match (said("containerimage.config.digest"), store) {
        (Some(id), ImageStoreKind::Containerd) => (Some(id), digest),
        (id, _) => (id.or(digest), None),
    };
    let id = id.ok_or_else(|| {
        Error::new(ErrorKind::Protocol, "the daemon built an image and did not name it")
    })?;
    let mut output = BuildOutput::new(id, request.tags.clone(), "buildkit");
    output.digest = digest;
    Ok(output)
}

/// Returns an identifier that no other build has: 25 random letters and digits, as BuildKit's own are.
fn identifier() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    // Each `RandomState` has fresh random keys.
    let word = || RandomState::new().hash_one(std::process::id());
    format!("{:013x}{:012x}", word() >> 12, word() >> 16)
}
