//! `boxwright login`: verifies a name and a password with a registry, then stores them.

use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::process::ExitCode;
use std::sync::Arc;

use boxwright_core::{Credential, Error, ErrorKind, Result, Secret, Session};
use boxwright_registry::login;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::app::App;
use crate::args::{EngineArgs, LoginArgs};
use crate::exit_code::Outcome;

/// A password longer than this is some other file.
const LONGEST: u64 = 64 * 1024;

pub(super) async fn run(args: &LoginArgs, app: &App) -> Outcome {
    let settings = app.settings(&EngineArgs::default())?;
    let (user, password) = ask(args, app).await?;
    let credential = Credential::Password { user, password };
    let registries = Arc::new(settings.registries());
    tokio::select! {
        biased;
        () = app.cancel.cancelled() => return Err(Session::cancelled().into()),
        verified = login::verify(&app.host, registries, &args.registry, &credential) => verified?,
    }
    let output = login::store(&app.host, &args.registry, &credential).await?;
    for warning in &output.warnings {
        app.console.warn(warning);
    }
    app.console.say(&format!("logged in to `{}`; kept in {}", args.registry, output.stored_in));
    Ok(ExitCode::SUCCESS)
}

async fn ask(args: &LoginArgs, app: &App) -> Result<(String, Secret)> {
    if args.password_stdin {
        let user = args.username.clone().ok_or_else(|| {
            wrong("`--password-stdin` needs a user's name").with_remedy("add `--username NAME`")
        })?;
        return Ok((user, read(app, from_input).await?));
    }
    if !std::io::stdin().is_terminal() {
        return Err(wrong("cannot ask for a password: standard input is no terminal")
            .with_remedy("pipe the password in, and add `--username NAME --password-stdin`"));
    }
    let user = match &args.username {
        Some(user) => user.clone(),
        None => {
            app.console.ask(&format!("user at {}: ", args.registry));
            read(app, line).await?
        }
    };
    app.console.ask("password: ");
    let echo = Echo::off();
    let password = read(app, line).await;
    drop(echo);
    app.console.say("");
    let password = Secret::from(password?);
    if user.is_empty() || password.is_empty() {
        return Err(wrong("a user's name and a password are needed"));
    }
    Ok((user, password))
}

/// Reads from standard input on a thread of its own, so that Ctrl-C is heard meanwhile.
async fn read<T: Send + 'static>(app: &App, read: fn() -> Result<T>) -> Result<T> {
    tokio::select! {
        biased;
        () = app.cancel.cancelled() => Err(Session::cancelled()),
        answer = tokio::task::spawn_blocking(read) => answer.map_err(|error| {
            Error::new(ErrorKind::Bug, "cannot read standard input").with_source(error)
        })?,
    }
}

fn from_input() -> Result<Secret> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(LONGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| wrong("cannot read the password").with_source(error))?;
    if bytes.len() as u64 > LONGEST {
        return Err(wrong("the password is longer than 64 KiB"));
    }
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Err(wrong("the password on standard input is empty"));
    }
    Ok(Secret::new(bytes))
}

fn line() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().lock().read_line(&mut text);
    read.map_err(|error| wrong("cannot read from the terminal").with_source(error))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// While it lives, the terminal does not show what is typed.
struct Echo(Option<Termios>);

impl Echo {
    fn off() -> Self {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).ok();
        if let Some(before) = &before {
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            // A terminal that cannot be silenced still reads.
            let _ = tcsetattr(&stdin, OptionalActions::Now, &silent);
        }
        Self(before)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // It was set a moment ago in the same way.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

fn wrong(message: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}
