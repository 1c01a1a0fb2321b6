//! A command in an image of the store, run as a step whose changes are thrown away.

use std::collections::BTreeMap;

use boxwright_core::{
    Error, ErrorKind, Event, EventSink, LayerRef, Result, RunOutput, RunRequest, Session, Step,
    StepId, StepRunner,
};
use boxwright_image::config::RunConfig;

use crate::store::Store;

/// What programs are looked for in where the image does not say, as Docker has it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs a command in an image of `store` by `runner`, and waits for its end. Nothing of what it changes is kept.
///
/// # Errors
///
/// [`ErrorKind::NotFound`] when there is no such image, [`ErrorKind::InvalidInput`] when neither the request nor the
/// image says what to run, else as [`StepRunner::run`].
pub async fn run(
    store: &Store,
    runner: &dyn StepRunner,
    request: &RunRequest,
    session: &Session,
) -> Result<RunOutput> {
    // What is read is not removed meanwhile.
    let _user = store.enter().await?;
    let image = store.image(&request.image).await?;
    let mut step = step(request, &image.config.config)?;
    step.rootfs = image
        .manifest
        .layers
        .iter()
        .map(|(layer, diff_id)| LayerRef { diff_id: diff_id.clone(), blob: layer.digest.clone() })
        .collect();
    let (sink, mut events) = EventSink::channel();
    let inner = session.clone().with_events(sink);
    let run = async move { runner.run(&step, store.layout(), &inner).await };
    let relay = async {
        while let Some(event) = events.recv().await {
            let event = match event {
                Event::StepLog { stream, bytes, .. } => Event::Output { stream, bytes },
                other => other,
            };
            session.events.emit(event).await;
        }
    };
    // The sink goes with the run, and so the relay ends.
    let (outcome, ()) = tokio::join!(run, relay);
    Ok(RunOutput::new(outcome?.exit_code.into()))
}

/// Returns the step for what is asked of an image with `config`.
fn step(request: &RunRequest, config: &RunConfig) -> Result<Step> {
    let of_image = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
    let mut arguments = match &request.entrypoint {
        Some(program) => vec![program.clone()],
        None => of_image(&config.entrypoint),
    };
    if request.arguments.is_empty() && request.entrypoint.is_none() {
        arguments.extend(of_image(&config.cmd));
    } else {
        arguments.extend(request.arguments.iter().cloned());
    }
    if arguments.is_empty() {
        return Err(Error::new(ErrorKind::InvalidInput, format!("cannot run `{}`", request.image))
            .with_cause("the image has no command of its own")
            .with_remedy("name a command"));
    }
    let mut environment = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
    let lines = config.env.iter().filter_map(|line| line.split_once('='));
    environment.extend(lines.map(|(name, value)| (name.to_owned(), value.to_owned())));
    environment.extend(request.environment.clone());
    let mut step = Step::new(StepId(0), arguments);
    step.environment = environment;
    step.user = request.user.clone().unwrap_or_else(|| config.user.clone());
    let folder = request.working_directory.clone().unwrap_or_else(|| config.working_dir.clone());
    if !folder.is_empty() {
        step.working_directory = folder;
    }
    step.network = request.network;
    Ok(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_core::LocalImage;

    fn arguments(change: impl FnOnce(&mut RunRequest)) -> Vec<String> {
        let config = RunConfig {
            entrypoint: Some(vec!["/a".into()]),
            cmd: Some(vec!["b".into()]),
            ..RunConfig::default()
        };
        let mut request = RunRequest::new(LocalImage::IdPrefix("0123456789ab".into()));
        change(&mut request);
        step(&request, &config).unwrap().arguments
    }

    #[test]
    fn what_is_asked_comes_over_what_the_image_says() {
        assert_eq!(arguments(|_| ()), ["/a", "b"]);
        assert_eq!(arguments(|it| it.arguments = vec!["c".into()]), ["/a", "c"]);
        assert_eq!(arguments(|it| it.entrypoint = Some("/d".into())), ["/d"]);
    }

    #[test]
    fn variables_of_the_request_come_over_those_of_the_image() {
        let config = RunConfig {
            env: vec!["A=1".into(), "B=2".into()],
            cmd: Some(vec!["x".into()]),
            working_dir: "/w".into(),
            ..RunConfig::default()
        };
        let mut request = RunRequest::new(LocalImage::IdPrefix("0123456789ab".into()));
        request.environment.insert("B".into(), "3".into());
        let step = step(&request, &config).unwrap();
        assert_eq!((step.environment["A"].as_str(), step.environment["B"].as_str()), ("1", "3"));
        assert_eq!(
            (step.environment["PATH"].as_str(), step.working_directory.as_str()),
            (PATH, "/w")
        );
        let error =
            super::step(&RunRequest::new(request.image), &RunConfig::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
