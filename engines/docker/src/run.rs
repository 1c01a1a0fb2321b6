//! Runs a command in an image, in a container that is removed afterwards.

use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use boxwright_core::{Event, NetworkMode, Result, RunOutput, RunRequest, Session, own_labels};

use crate::api::Container;
use crate::daemon::Daemon;

/// Runs `request`, and removes the container whatever happens.
pub(crate) async fn run(
    daemon: &Daemon,
    request: &RunRequest,
    session: &Session,
) -> Result<RunOutput> {
    let name = daemon.name_of(&request.image).await?;
    // Not cancellable: a container that was made just then must be known, to be removed.
    let container = daemon.api.create(body(request, name)).await?;
    let outcome = session.cancellable(follow(&container, session)).await;
    let removed = container.remove().await;
    let output = outcome?;
    removed?;
    Ok(output)
}

async fn follow(container: &Container, session: &Session) -> Result<RunOutput> {
    // Attached before it starts, so that nothing is missed.
    let mut written = container.attach().await?;
    container.start().await?;
    while let Some((stream, bytes)) = written.next().await? {
        session.events.emit(Event::Output { stream, bytes }).await;
    }
    Ok(RunOutput::new(container.exit_code().await?))
}

fn body(request: &RunRequest, image: String) -> ContainerCreateBody {
    let environment = request.environment.iter().map(|(name, value)| format!("{name}={value}"));
    let network = match request.network {
        NetworkMode::Default => None,
        NetworkMode::Host => Some("host".to_owned()),
        NetworkMode::None => Some("none".to_owned()),
    };
    ContainerCreateBody {
        image: Some(image),
        cmd: Some(request.arguments.clone()).filter(|arguments| !arguments.is_empty()),
        entrypoint: request.entrypoint.clone().map(|program| vec![program]),
        env: Some(environment.collect()),
        user: request.user.clone(),
        working_dir: request.working_directory.clone(),
        labels: Some(own_labels("run").into_iter().collect()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(HostConfig {
            network_mode: network,
            // What it writes goes to whoever runs it, and stays nowhere.
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

#[cfg(test)]
mod tests {
    use boxwright_core::labels;

    use super::*;

    #[test]
    fn a_container_is_labelled_and_says_only_what_was_asked() {
        let mut request = RunRequest::new("a:1".parse().unwrap());
        let plain = body(&request, "a:1".into());
        assert_eq!((plain.cmd, plain.entrypoint, plain.user), (None, None, None));
        let made = plain.labels.unwrap();
        assert_eq!(made[labels::OWNER], "run");
        assert!(made.contains_key(labels::MAKER));
        request.entrypoint = Some("/bin/sh".into());
        request.arguments = vec!["-c".into(), "true".into()];
        request.environment.insert("A".into(), "1".into());
        request.network = NetworkMode::None;
        let full = body(&request, "a:1".into());
        assert_eq!(full.entrypoint.unwrap(), ["/bin/sh"]);
        assert_eq!(full.cmd.unwrap(), ["-c", "true"]);
        assert_eq!(full.env.unwrap(), ["A=1"]);
        assert_eq!(full.host_config.unwrap().network_mode.as_deref(), Some("none"));
    }
}
