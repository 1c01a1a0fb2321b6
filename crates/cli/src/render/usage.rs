//! What is wrong with a command line, in the words of every other error.

use std::process::ExitCode;

use boxwright_core::{Error, ErrorKind as Kind, nearest};
use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{Console, render_error};
use crate::exit_code::WRONG;

/// Prints help or the version where that was asked for, else what is wrong. Returns the exit code.
///
/// `command` is the command line's description, and `subcommand` the word that chose a part of it.
pub(crate) fn print_usage(
    error: &clap::Error,
    command: &mut Command,
    subcommand: Option<&str>,
    console: Console,
) -> ExitCode {
    let styled = error.render();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let text = if console.paint_out().is_on() {
                styled.ansi().to_string()
            } else {
                styled.to_string()
            };
            // A reader that left has seen enough.
            let _ = console.data(&text);
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let text = if console.paint_err().is_on() {
                styled.ansi().to_string()
            } else {
                styled.to_string()
            };
            console.say(text.trim_end());
            ExitCode::from(WRONG)
        }
        _ => {
            let paint = console.paint_err();
            console
                .say(render_error(&to_error(error, command, subcommand), None, paint).trim_end());
            ExitCode::from(WRONG)
        }
    }
}

fn to_error(error: &clap::Error, command: &mut Command, subcommand: Option<&str>) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join("`, `"),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let (argument, value) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue));
    let unknown = text(ContextKind::InvalidSubcommand);
    let (message, known) = match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            (format!("unknown flag `{argument}`"), flags(command, subcommand))
        }
        ErrorKind::UnknownArgument => {
            (format!("`{argument}` is one argument too many"), Vec::new())
        }
        ErrorKind::InvalidSubcommand => {
            let names = command.get_subcommands().map(|it| it.get_name().to_owned()).collect();
            (format!("unknown command `{unknown}`"), names)
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            (format!("`{argument}` has no value"), Vec::new())
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let valid = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(valid)) => valid.clone(),
                _ => Vec::new(),
            };
            (format!("`{value}` is no value for `{argument}`"), valid)
        }
        ErrorKind::MissingRequiredArgument => (format!("`{argument}` is missing"), Vec::new()),
        ErrorKind::ArgumentConflict => {
            let other = text(ContextKind::PriorArg);
            (format!("`{argument}` cannot be given together with `{other}`"), Vec::new())
        }
        _ => {
            let first = error.to_string().lines().next().unwrap_or_default().replace("error: ", "");
            (first, Vec::new())
        }
    };
    let result = Error::new(Kind::InvalidInput, message);
    let wanted = [argument.as_str(), unknown.as_str(), value.as_str()];
    let wanted = match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => wanted[2],
        ErrorKind::InvalidSubcommand => wanted[1],
        _ => wanted[0],
    };
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let page = subcommand.map(|name| format!(" {name}")).unwrap_or_default();
    match nearest(wanted, &names) {
        Some(near) => result.with_remedy(format!("use `{near}`")),
        None if !names.is_empty() && names.len() < 8 => {
            result.with_remedy(format!("use one of `{}`", names.join("`, `")))
        }
        None => result.with_remedy(format!("`boxwright{page} --help` shows what there is")),
    }
}

/// Returns the flags of a subcommand.
fn flags(command: &mut Command, subcommand: Option<&str>) -> Vec<String> {
    command.build();
    let part = subcommand.and_then(|name| command.find_subcommand(name));
    let flags = part.into_iter().flat_map(Command::get_arguments).filter(|it| !it.is_hide_set());
    flags.filter_map(|it| it.get_long()).map(|name| format!("--{name}")).collect()
}
