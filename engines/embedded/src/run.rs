//! Runs a command in an image. What it changes is thrown away.

use std::collections::BTreeMap;

use boxwright_core::{
    Event, EventSink, LayerRef, Result, RunOutput, RunRequest, Session, Step, StepId,
};
use boxwright_image::config::RunConfig;
use boxwright_portable::{Store, StoredImage};
use boxwright_worker_program::LocalWorker;

/// The `PATH` of a command whose image has none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs `request`, and tells what the command writes.
pub(crate) async fn run(
    store: &Store,
    worker: &LocalWorker,
    request: &RunRequest,
    session: &Session,
) -> Result<RunOutput> {
    let image = store.image(&request.image).await?;
    let step = step(request, &image);
    let (sink, mut events) = EventSink::channel();
    let relay = async {
        while let Some(event) = events.recv().await {
            let event = match event {
                Event::StepLog { stream, bytes, .. } => Event::Output { stream, bytes },
                other => other,
            };
            session.events.emit(event).await;
        }
    };
    let inner = session.clone().with_events(sink);
    let run = async move { worker.run_discarding(&step, store.layout(), &inner).await };
    let (exit_code, ()) = tokio::join!(run, relay);
    worker.end().await;
    Ok(RunOutput::new(exit_code?.into()))
}

fn step(request: &RunRequest, image: &StoredImage) -> Step {
    let config = &image.config.config;
    let mut step = Step::new(StepId(0), arguments(request, config));
    step.rootfs = image
        .manifest
        .layers
        .iter()
        .map(|(blob, diff_id)| LayerRef { diff_id: diff_id.clone(), blob: blob.digest.clone() })
        .collect();
    step.environment = environment(request, config);
    step.user = request.user.clone().unwrap_or_else(|| config.user.clone());
    let folder = request.working_directory.as_ref().unwrap_or(&config.working_dir);
    if !folder.is_empty() {
        step.working_directory.clone_from(folder);
    }
    step.network = request.network;
    step
}

/// Returns the program and its arguments. A program in place of the image's takes the image's arguments away too.
fn arguments(request: &RunRequest, config: &RunConfig) -> Vec<String> {
    let entrypoint = match &request.entrypoint {
        Some(program) => vec![program.clone()],
        None => config.entrypoint.clone().unwrap_or_default(),
    };
    let arguments = if !request.arguments.is_empty() || request.entrypoint.is_some() {
        request.arguments.clone()
    } else {
        config.cmd.clone().unwrap_or_default()
    };
    [entrypoint, arguments].concat()
}

fn environment(request: &RunRequest, config: &RunConfig) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
    let of_image = config.env.iter().filter_map(|variable| variable.split_once('='));
    environment.extend(of_image.map(|(name, value)| (name.to_owned(), value.to_owned())));
    environment.extend(request.environment.clone());
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_comes_before_what_the_image_says() {
        let config = RunConfig {
            entrypoint: Some(vec!["/e".into()]),
            cmd: Some(vec!["c".into()]),
            env: vec!["A=image".into(), "B=image=b".into(), "broken".into()],
            ..RunConfig::default()
        };
        let mut request = RunRequest::new("a:1".parse().unwrap());
        assert_eq!(arguments(&request, &config), ["/e", "c"]);
        request.arguments = vec!["x".into()];
        assert_eq!(arguments(&request, &config), ["/e", "x"]);
        request.arguments.clear();
        request.entrypoint = Some("/p".into());
        assert_eq!(arguments(&request, &config), ["/p"]);
        request.environment.insert("A".into(), "asked".into());
        let environment = environment(&request, &config);
        let all: Vec<_> = environment.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(all, [("A", "asked"), ("B", "image=b"), ("PATH", PATH)]);
    }
}
