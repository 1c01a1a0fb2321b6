//! What is wrong with a command line, in the words of every other error.

use std::process::ExitCode;

use boxwright_core::{Error, ErrorKind as Kind};
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{Console, render_error};
use crate::exit_code::WRONG;

/// Prints help or the version where that was asked for, else what is wrong. Returns the exit code.
pub(crate) fn print_usage(error: &clap::Error, console: Console) -> ExitCode {
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
            console.say(render_error(&to_error(error), None, paint).trim_end());
            ExitCode::from(WRONG)
        }
    }
}

fn to_error(error: &clap::Error) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join("`, `"),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let suggested = |kind| Some(text(kind)).filter(|text| !text.is_empty());
    let (argument, value) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue));
    let message = match error.kind() {
        ErrorKind::UnknownArgument => format!("unknown flag or argument `{argument}`"),
        ErrorKind::InvalidSubcommand => {
            format!("unknown command `{}`", text(ContextKind::InvalidSubcommand))
        }
        ErrorKind::InvalidValue if value.is_empty() => format!("`{argument}` has no value"),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            format!("`{value}` is no value for `{argument}`")
        }
        ErrorKind::MissingRequiredArgument => format!("`{argument}` is missing"),
        ErrorKind::NoEquals => format!("`{argument}` takes its value after `=`"),
        ErrorKind::ArgumentConflict => {
            let other = text(ContextKind::PriorArg);
            format!("`{argument}` cannot be given together with `{other}`")
        }
        ErrorKind::TooManyValues => format!("`{value}` is one too many for `{argument}`"),
        _ => error.to_string().lines().next().unwrap_or_default().replace("error: ", ""),
    };
    let near = suggested(ContextKind::SuggestedArg)
        .or_else(|| suggested(ContextKind::SuggestedSubcommand))
        .or_else(|| suggested(ContextKind::SuggestedValue));
    let valid = suggested(ContextKind::ValidValue)
        .filter(|valid| !valid.is_empty())
        .map(|valid| format!("use one of `{valid}`"));
    let usage = text(ContextKind::Usage).replace('\n', " ");
    let usage = usage.split_whitespace().collect::<Vec<_>>().join(" ");
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    let result = Error::new(Kind::InvalidInput, message);
    let result = if usage.is_empty() { result } else { result.with_context("usage", usage) };
    match near.map(|near| format!("use `{near}`")).or(valid) {
        Some(remedy) => result.with_remedy(remedy),
        None => result.with_remedy("`--help` shows what there is"),
    }
}
