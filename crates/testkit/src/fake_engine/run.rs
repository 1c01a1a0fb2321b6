//! A command in an image.

use boxwright_core::{Event, OutputStream, Result, RunOutput, RunRequest, Session};

use super::defect::Defect;
use super::root::clean;
use super::shell::{Output, Process};
use super::store::Stored;
use super::{FakeEngine, copy, stage};

fn event(stream: OutputStream, bytes: Vec<u8>) -> Event {
    Event::Output { stream, bytes }
}

fn mixed(_: OutputStream, bytes: Vec<u8>) -> Event {
    Event::Output { stream: OutputStream::Stdout, bytes }
}

pub(super) async fn run(
    engine: &FakeEngine,
    image: &Stored,
    request: &RunRequest,
    session: &Session,
) -> Result<RunOutput> {
    let config = &image.config.config;
    let entrypoint = match &request.entrypoint {
        Some(program) => vec![program.clone()],
        None => config.entrypoint.clone().unwrap_or_default(),
    };
    let command = if !request.arguments.is_empty() {
        request.arguments.clone()
    } else if request.entrypoint.is_some() {
        Vec::new()
    } else {
        config.cmd.clone().unwrap_or_default()
    };
    let user = request.user.as_ref().unwrap_or(&config.user);
    let user = if user.is_empty() { (0, 0) } else { copy::user(&image.root, user)? };
    let stage = stage::Stage::from_image(Some(image), &boxwright_core::Platform::of_this_machine());
    let mut variables = stage.environment();
    variables.extend(request.environment.clone());
    let folder = request.working_directory.as_ref().unwrap_or(&config.working_dir);
    let made = if engine.has(Defect::MixesStreams) { mixed } else { event };
    let mut process = Process {
        root: image.root.as_ref().clone(),
        variables,
        folder: clean("", folder),
        user,
        cancel: session.cancel.clone(),
        output: Output::Events(session.events.clone(), made),
    };
    let status = process.run(&[entrypoint, command].concat()).await;
    if session.cancel.is_cancelled() {
        return Err(Session::cancelled());
    }
    Ok(RunOutput::new(if engine.has(Defect::ForgetsStatus) { 0 } else { status }))
}
