//! The build arguments that `FROM` sees: those before it, and those that are always there.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Sink};
use crate::expand::{Expander, Expansion};
use crate::file::Dockerfile;
use crate::fragment::Word;

use super::Options;

/// The values of `ARG` before the first `FROM`, and the arguments that are always there.
pub(super) fn globals(
    file: &Dockerfile,
    options: &Options,
    expander: &Expander,
    sink: &mut Sink,
) -> BTreeMap<String, String> {
    let last =
        file.stages.last().and_then(|stage| stage.from.name.as_ref()).map(|name| name.text.clone());
    let target = options.target.clone().or(last).unwrap_or_else(|| "default".to_owned());
    let mut globals = BTreeMap::from([("TARGETSTAGE".to_owned(), target)]);
    for (prefix, platform) in [("BUILD", &options.build_platform), ("TARGET", &options.platform)] {
        let variant = platform.variant().unwrap_or_default().to_owned();
        globals.insert(format!("{prefix}PLATFORM"), platform.to_string());
        globals.insert(format!("{prefix}OS"), platform.os().to_owned());
        globals.insert(format!("{prefix}OSVERSION"), String::new());
        globals.insert(format!("{prefix}ARCH"), platform.architecture().to_owned());
        globals.insert(format!("{prefix}VARIANT"), variant);
    }
    for (name, value) in &mut globals {
        if let Some(given) = options.build_args.get(name) {
            value.clone_from(given);
        }
    }
    for argument in &file.arguments {
        let value = match (options.build_args.get(&argument.name.text), &argument.default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => {
                expanded(default, expander, &globals, file, sink).map(|it| it.text)
            }
            (None, None) => None,
        };
        globals.extend(value.map(|value| (argument.name.text.clone(), value)));
    }
    globals
}

/// Expands a word with `globals`, which may lack some that the file was to set.
pub(super) fn expanded(
    word: &Word,
    expander: &Expander,
    globals: &BTreeMap<String, String>,
    file: &Dockerfile,
    sink: &mut Sink,
) -> Option<Expansion> {
    let error = match expander.expand(&word.text, globals) {
        Ok(found) if file.lacks_variables && !found.unmatched.is_empty() => return None,
        Ok(found) => return Some(found),
        Err(error) if file.lacks_variables && error.is_about_unset() => return None,
        Err(error) => error,
    };
    let problem = Diagnostic::error(word.span, error.message);
    sink.push(match error.remedy {
        Some(remedy) => problem.with_remedy(remedy),
        None => problem,
    });
    None
}
