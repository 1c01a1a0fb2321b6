//! A command in an image, in a container that is gone afterwards.

use boxwright_core::{
    Error, ErrorKind, Event, NetworkMode, OutputStream, Result, RunOutput, RunRequest, Session,
    own_labels,
};
use boxwright_http::Connection;
use boxwright_http::http::Method;
use serde_json::{Map, Value, json};
use tokio::io::AsyncReadExt as _;

use crate::api::Api;
use crate::images;
use crate::query::Address;
use crate::wire::Created;

/// How much output is read at once.
const CHUNK: usize = 64 * 1024;

pub(crate) async fn run(api: &Api, wanted: &RunRequest, session: &Session) -> Result<RunOutput> {
    let what = format!("cannot run `{}`", wanted.image);
    // Nothing is pulled for a name that is not there.
    let image = images::inspect(api, &wanted.image).await?;
    let specification = specification(wanted, image.summary.id.hex());
    let created = api.post(&Address::libpod(&["containers/create"]), &specification, &what).await;
    let created: Created = created.map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => {
            error.or_remedy("name a command, since the image has none of its own")
        }
        _ => images::missing(error, &wanted.image),
    })?;
    let container = Container { api, id: created.id };
    let outcome = session.cancellable(container.run(session, &what)).await;
    let removed = container.remove().await;
    let outcome = outcome?;
    removed?;
    Ok(outcome)
}

/// Returns what `POST containers/create` takes.
fn specification(wanted: &RunRequest, image: &str) -> Value {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    set("image", json!(image));
    if !wanted.arguments.is_empty() {
        set("command", json!(wanted.arguments));
    }
    if let Some(entrypoint) = &wanted.entrypoint {
        set("entrypoint", json!([entrypoint]));
    }
    if !wanted.environment.is_empty() {
        set("env", json!(wanted.environment));
    }
    if let Some(user) = &wanted.user {
        set("user", json!(user));
    }
    if let Some(folder) = &wanted.working_directory {
        set("work_dir", json!(folder));
    }
    match wanted.network {
        NetworkMode::Default => {}
        NetworkMode::Host => set("netns", json!({"nsmode": "host"})),
        NetworkMode::None => set("netns", json!({"nsmode": "none"})),
    }
    set("labels", json!(own_labels("run")));
    // What the command writes goes to whoever asked, and into no file of the service.
    set("log_configuration", json!({"driver": "none"}));
    Value::Object(fields)
}

/// A container of this call.
struct Container<'a> {
    api: &'a Api,
    id: String,
}

impl Container<'_> {
    async fn run(&self, session: &Session, what: &str) -> Result<RunOutput> {
        let init = Address::libpod(&["containers/", &self.id, "/init"]);
        self.api.act(Method::POST, &init, what).await.map_err(cannot_start)?;
        // Attached before it starts, so that nothing it writes is missed.
        let address = Address::libpod(&["containers/", &self.id, "/attach"])
            .with("stream", "true")
            .with("stdout", "true")
            .with("stderr", "true");
        let output = self.api.upgrade(&address).await?;
        let start = Address::libpod(&["containers/", &self.id, "/start"]);
        self.api.act(Method::POST, &start, what).await.map_err(cannot_start)?;
        follow(output, session).await?;
        let wait = Address::libpod(&["containers/", &self.id, "/wait"]);
        let wait = wait.with("condition", "exited").with("condition", "stopped");
        let exit_code: i64 = self.api.post(&wait, &json!({}), what).await?;
        Ok(RunOutput::new(exit_code))
    }

    async fn remove(&self) -> Result<()> {
        let address = Address::libpod(&["containers/", &self.id])
            .with("force", "true")
            .with("timeout", "0")
            .with("v", "true");
        let short = self.id.get(..12).unwrap_or(&self.id);
        let what = format!("cannot remove the container `{short}`");
        match self.api.act(Method::DELETE, &address, &what).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// A command that is not there is the image's or the user's fault, not the service's.
fn cannot_start(error: Error) -> Error {
    let causes = error.causes().join(" ");
    let missing = ["executable file", "no such file or directory", "not found in $PATH"];
    if missing.iter().any(|words| causes.contains(words)) {
        return Error::new(ErrorKind::NotFound, "the image has no such command")
            .with_cause(causes)
            .with_remedy("name a program that is in the image");
    }
    error
}

/// Reads the frames of an attached container until it ends: eight bytes of head, whose first is the stream and
/// whose last four the length, then that many bytes.
async fn follow(mut output: Connection, session: &Session) -> Result<()> {
    let broken = |error: std::io::Error| {
        Error::new(ErrorKind::Unavailable, "the output of the command broke off").with_source(error)
    };
    let mut buffer = vec![0; CHUNK];
    loop {
        let mut head = [0; 8];
        if output.read(&mut head[..1]).await.map_err(broken)? == 0 {
            return Ok(());
        }
        output.read_exact(&mut head[1..]).await.map_err(broken)?;
        let stream = match head[0] {
            0 | 1 => OutputStream::Stdout,
            2 => OutputStream::Stderr,
            other => {
                return Err(Error::new(
                    ErrorKind::Protocol,
                    "cannot read the output of the command",
                )
                .with_cause(format!("there is no stream {other}")));
            }
        };
        let mut left = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        while left > 0 {
            let size = left.min(CHUNK);
            output.read_exact(&mut buffer[..size]).await.map_err(broken)?;
            left -= size;
            let bytes = buffer[..size].to_vec();
            session.events.emit(Event::Output { stream, bytes }).await;
        }
    }
}
