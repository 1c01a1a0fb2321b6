//! A private service of this process, where none listens.

use std::path::PathBuf;
use std::time::Duration;

use boxwright_core::{Error, ErrorKind, Host, Result};
use boxwright_http::http::Request;
use boxwright_http::{Body, Client, Endpoint, HeldBody};
use tempfile::TempDir;
use tokio::process::Child;

use crate::query::Address;

/// How long the service may take to listen.
const START_LIMIT: Duration = Duration::from_secs(20);

/// After how many idle seconds the service ends by itself, should this process be killed.
const IDLE_SECONDS: &str = "60";

/// What an instance calls the endpoint of a service that is yet to be started.
pub(crate) const ENDPOINT: &str = "autostart";

/// A running service and its socket. Dropping it ends the service.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    /// An answer that never ends: while it is open, the service does not count itself idle.
    _presence: Option<HeldBody>,
    _folder: TempDir,
}

impl Service {
    /// Starts a service and waits until it answers.
    pub(crate) async fn start(host: &Host) -> Result<(Self, Endpoint)> {
        let cannot = || Error::new(ErrorKind::Unavailable, "cannot start a private Podman service");
        let parent = host.runtime_folder().unwrap_or_else(|| host.temporary_folder());
        let folder = tempfile::Builder::new().prefix("boxwright-").tempdir_in(&parent);
        let folder = folder.or_else(|_| {
            tempfile::Builder::new().prefix("boxwright-").tempdir_in(host.temporary_folder())
        });
        let folder = folder.map_err(|error| cannot().with_source(error))?;
        let socket = folder.path().join("podman.sock");
        let log = folder.path().join("log");
        let url = format!("unix://{}", socket.display());
        let program = host.program("podman")?;
        let program = program.arguments(&["system", "service", "--time", IDLE_SECONDS, &url]);
        let child = program.start_logged(&log)?;
        let mut service = Self { child, _presence: None, _folder: folder };
        let endpoint = Endpoint::unix(socket);
        let client = Client::new(endpoint.clone(), host.clone());
        let ready = tokio::time::timeout(START_LIMIT, service.wait(&client)).await;
        let remedy =
            "run `podman info` to see what is wrong with it, or start its service yourself";
        match ready {
            Ok(Ok(presence)) => {
                service._presence = Some(presence);
                Ok((service, endpoint))
            }
            Ok(Err(status)) => Err(cannot()
                .with_cause(last_words(&log).unwrap_or_else(|| format!("it ended with {status}")))
                .with_remedy(remedy)),
            Err(_) => Err(cannot()
                .with_cause(format!("it did not listen within {} seconds", START_LIMIT.as_secs()))
                .with_remedy(remedy)),
        }
    }

    /// Waits until the service answers, and returns an answer that never ends; or how it ended before.
    async fn wait(&mut self, client: &Client) -> Result<HeldBody, String> {
        // Nothing is ever reported of a container of this name.
        let events = Address::libpod(&["events"]).with("stream", "true");
        let events =
            events.with_json("filters", &serde_json::json!({"container": ["boxwright.none"]}));
        loop {
            if let Ok(request) = Request::get(events.as_str()).body(Body::empty())
                && let Ok(response) = client.hold(request).await
            {
                return Ok(response.into_body());
            }
            let pause = tokio::time::sleep(Duration::from_millis(20));
            tokio::select! {
                status = self.child.wait() => {
                    return Err(status.map_or_else(|error| error.to_string(), |status| status.to_string()));
                }
                () = pause => {}
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A rootless service is two processes of one group, and the first does not take the second along when it is
        // killed. One that is gone already needs no signal.
        let group =
            self.child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(group) = group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        }
    }
}

/// Returns the last line of a log.
fn last_words(log: &PathBuf) -> Option<String> {
    let text = std::fs::read_to_string(log).ok()?;
    text.lines().rfind(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
}
