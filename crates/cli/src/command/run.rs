//! `boxwright run`: runs a command in an image.

use std::process::ExitCode;

use boxwright_core::{Error, ErrorKind, Host, LocalImage, Result, RunRequest};

use crate::app::{App, parse};
use crate::args::RunArgs;
use crate::exit_code::{FAILED, Outcome};
use crate::render::Output;

pub(super) async fn run(args: &RunArgs, app: &App) -> Outcome {
    let request = request(args, &app.host)?;
    let settings = app.settings(&args.engine)?;
    let mut session = app.session(&settings, None)?;
    let engine = app.open(&settings, None).await?.engine;
    let (sink, output) = Output::start(app.console);
    session.events = sink;
    let result = engine.run(&request, &session).await;
    drop(session);
    let passed = output.finish().await;
    let exit_code = result?.exit_code;
    passed?;
    Ok(ExitCode::from(u8::try_from(exit_code).unwrap_or(FAILED)))
}

fn request(args: &RunArgs, host: &Host) -> Result<RunRequest> {
    let image: LocalImage = parse(&args.image)?;
    let mut request = RunRequest::new(image);
    request.arguments.clone_from(&args.arguments);
    request.entrypoint.clone_from(&args.entrypoint);
    request.user.clone_from(&args.user);
    request.working_directory.clone_from(&args.workdir);
    request.network = args.network.into();
    for text in &args.env {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text.as_str(), host.variable(text)),
        };
        if name.is_empty() {
            return Err(Error::new(ErrorKind::InvalidInput, format!("`{text}` names no variable"))
                .with_remedy("write it as NAME=VALUE, or NAME for its value here"));
        }
        if let Some(value) = value {
            request.environment.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(request)
}
