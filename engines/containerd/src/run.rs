//! A command in an image, in a container that is gone afterwards.

use std::path::Path;

use boxwright_core::{Error, ErrorKind, NetworkMode, Result, RunOutput, RunRequest, Session};
use boxwright_image::config::RunConfig;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::api::Api;
use crate::container::{Container, Process, specification};
use crate::documents::{self, Image};
use crate::errors::failed;
use crate::lease::Lease;
use crate::pipes::{Outputs, Pipes};
use crate::unpack::unpack;
use crate::users::{self, User};
use crate::{labels, records};

/// Where programs are looked for when the image does not say.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(crate) async fn run(api: &Api, wanted: &RunRequest, session: &Session) -> Result<RunOutput> {
    let what = format!("cannot run `{}`", wanted.image);
    let lease = Lease::take(api, "run").await?;
    let api = lease.api();
    let prepared = async {
        let named = records::named(api, &wanted.image, &what).await?;
        let image = documents::image(api, named.target()).await?;
        let chain = unpack(api, &image.manifest.layers).await?.unwrap_or_default();
        Ok((named.records[0].name.clone(), image, chain))
    };
    let result = match session.cancellable(prepared).await {
        Ok((name, image, chain)) => {
            let container = Container::new(api, "run");
            let ran = ran(api, &container, (&name, &image, &chain), wanted, session).await;
            let removed = container.remove().await;
            ran.and_then(|output| removed.map(|()| output))
        }
        Err(error) => Err(error),
    };
    lease.finish(result).await
}

/// Runs the command. Whatever becomes of it, the caller removes the container.
async fn ran(
    api: &Api,
    container: &Container,
    (name, image, chain): (&str, &Image, &str),
    wanted: &RunRequest,
    session: &Session,
) -> Result<RunOutput> {
    let what = format!("cannot run `{}`", wanted.image);
    let rootfs = api.prepare(container.id(), chain, labels::own("run")).await?;
    let own = &image.config.config;
    let user = users::resolve(wanted.user.as_deref().unwrap_or(&own.user), &rootfs)?;
    let pipes = Pipes::new(&session.host.temporary_folder())?;
    let hosts = pipes.file("hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost\n")?;
    let mut files = vec![(hosts.as_path(), "/etc/hosts")];
    if wanted.network == NetworkMode::Host {
        files = vec![
            (Path::new("/etc/hosts"), "/etc/hosts"),
            (Path::new("/etc/resolv.conf"), "/etc/resolv.conf"),
        ];
        files.retain(|(file, _)| file.exists());
    }
    let process = Process {
        arguments: &arguments(wanted, own).ok_or_else(|| no_command(&what))?,
        environment: &environment(wanted, own, &user),
        working_directory: folder(wanted, own)?,
        user: &user,
        network: wanted.network,
        files: &files,
        rights: &[],
        mounts: &[],
    };
    let specification = specification(container.id(), &process);
    let outputs = Outputs::open(&pipes)?;
    let paths = outputs.paths.clone();
    let ended = CancellationToken::new();
    let work = async {
        let created = container.create("run", name, &specification, rootfs, &paths).await?;
        created.map_err(|status| cannot_start(status, &what))?;
        let finished = session.cancellable(follow(api, container, pipes, &what)).await;
        if finished.is_err() {
            // Its removal says what is wrong, if this does not end it.
            let _ = container.end().await;
        }
        // The shim answers when all that was written is in the pipes.
        let deleted = api.delete_task(container.id()).await;
        let code = finished?;
        deleted.map_err(failed(what.as_str()))?;
        Ok(code)
    };
    let work = async {
        let result = work.await;
        ended.cancel();
        result
    };
    let (code, relayed) = tokio::join!(work, outputs.relay(&session.events, &ended));
    let output = RunOutput::new(code?.into());
    relayed.map(|()| output)
}

/// Starts the task and waits for its end.
async fn follow(api: &Api, container: &Container, pipes: Pipes, what: &str) -> Result<u32> {
    let wait = api.wait_task(container.id());
    let start = async {
        let started = api.start_task(container.id()).await;
        // All that has to open them has: nothing is left of them, even if this process is killed.
        drop(pipes);
        started.map_err(|status| cannot_start(status, what))
    };
    let wait = async { wait.await.map_err(failed(what)) };
    // Waited for before it starts, so that its end is not missed; one that does not start is not waited for.
    let (code, ()) = tokio::try_join!(wait, start)?;
    Ok(code)
}

/// Returns the program and its arguments, or `None` if neither the request nor the image has any.
fn arguments(wanted: &RunRequest, own: &RunConfig) -> Option<Vec<String>> {
    let command = own.cmd.clone().unwrap_or_default();
    let arguments = match &wanted.entrypoint {
        Some(program) => [vec![program.clone()], wanted.arguments.clone()].concat(),
        None => {
            let given = &wanted.arguments;
            let rest = if given.is_empty() { command } else { given.clone() };
            [own.entrypoint.clone().unwrap_or_default(), rest].concat()
        }
    };
    (!arguments.is_empty()).then_some(arguments)
}

fn environment(wanted: &RunRequest, own: &RunConfig, user: &User) -> Vec<String> {
    let name = |line: &str| line.split('=').next().unwrap_or_default().to_owned();
    let mut lines = own.env.clone();
    lines.retain(|line| !wanted.environment.contains_key(&name(line)));
    lines.extend(wanted.environment.iter().map(|(name, value)| format!("{name}={value}")));
    for usual in [PATH.to_owned(), format!("HOME={}", user.home)] {
        if !lines.iter().any(|line| name(line) == name(&usual)) {
            lines.push(usual);
        }
    }
    lines
}

fn folder<'a>(wanted: &'a RunRequest, own: &'a RunConfig) -> Result<&'a str> {
    let folder = wanted.working_directory.as_deref().unwrap_or(&own.working_dir);
    match folder {
        "" => Ok("/"),
        absolute if absolute.starts_with('/') => Ok(absolute),
        relative => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("cannot run in the folder `{relative}`"),
        )
        .with_cause("it is not an absolute path")
        .with_remedy(format!("write it as `/{relative}`"))),
    }
}

fn no_command(what: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, what)
        .with_cause("the image has neither ENTRYPOINT nor CMD")
        .with_remedy("name a program to run in it")
}

/// A command that is not there is the image's or the user's fault, not containerd's.
fn cannot_start(status: Status, what: &str) -> Error {
    let words = status.message();
    let missing = ["executable file not found", "no such file or directory"];
    if words.contains("exec") && missing.iter().any(|text| words.contains(text)) {
        return Error::new(ErrorKind::NotFound, "the image has no such command")
            .with_cause(words)
            .with_remedy("name a program that is in the image");
    }
    failed(what)(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_core::{Digest, LocalImage};

    fn request() -> RunRequest {
        let digest: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        RunRequest::new(LocalImage::from(digest))
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn an_entrypoint_of_the_request_takes_the_images_command_away() {
        let own = RunConfig {
            entrypoint: Some(words("echo images")),
            cmd: Some(words("own")),
            ..RunConfig::default()
        };
        let mut wanted = request();
        assert_eq!(arguments(&wanted, &own), Some(words("echo images own")));
        wanted.arguments = words("given");
        assert_eq!(arguments(&wanted, &own), Some(words("echo images given")));
        wanted.entrypoint = Some("sh".into());
        assert_eq!(arguments(&wanted, &own), Some(words("sh given")));
        wanted.arguments.clear();
        assert_eq!(arguments(&wanted, &own), Some(words("sh")));
        assert_eq!(arguments(&request(), &RunConfig::default()), None);
    }

    #[test]
    fn variables_of_the_request_replace_those_of_the_image() {
        let own = RunConfig { env: vec!["a=1".into(), "b=2".into()], ..RunConfig::default() };
        let mut wanted = request();
        wanted.environment.insert("a".into(), "3".into());
        let user = User { uid: 0, gid: 0, groups: vec![], home: "/root".into() };
        let lines = environment(&wanted, &own, &user);
        assert_eq!(lines, ["b=2", "a=3", PATH, "HOME=/root"]);
    }

    #[test]
    fn a_program_that_is_not_there_is_not_found() {
        let words = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start \
                     container process: exec: \"/x\": stat /x: no such file or directory: unknown";
        assert_eq!(cannot_start(Status::unknown(words), "cannot run").kind(), ErrorKind::NotFound);
        let other = cannot_start(Status::unknown("runc did not terminate"), "cannot run");
        assert_eq!(other.kind(), ErrorKind::Protocol);
    }
}
