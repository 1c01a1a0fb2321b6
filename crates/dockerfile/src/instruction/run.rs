//! `RUN`.

use boxwright_core::NetworkMode;

use crate::diagnostic::{Diagnostic, Sink};
use crate::fragment::Word;
use crate::heredoc::Document;
use crate::nearest;
use crate::parser::Statement;

use super::command::Command;
use super::flags::{Flags, Takes};
use super::mount::{MountOption, fields, truth};

/// `RUN [FLAGS] COMMAND`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What is run.
    pub command: Command,
    /// The here-documents of the command.
    pub documents: Vec<Document>,
    /// `--mount`, each as the options that are written.
    pub mounts: Vec<(Word, Vec<MountOption>)>,
    /// `--network`
    pub network: NetworkMode,
    /// Whether `--network` is written.
    pub network_given: bool,
    /// `--security`
    pub security: Security,
    /// `--device`
    pub devices: Vec<Device>,
}

/// The rights of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Security {
    /// The usual ones.
    #[default]
    Sandbox,
    /// All of them.
    Insecure,
}

/// A device that a step needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name, e.g. `nvidia.com/gpu=all`.
    pub name: String,
    /// Whether the step fails without it.
    pub required: bool,
}

const FLAGS: &[(&str, Takes)] = &[
    ("device", Takes::Values),
    ("mount", Takes::Values),
    ("network", Takes::Value),
    ("security", Takes::Value),
];

pub(super) fn read(statement: &Statement, sink: &mut Sink) -> Option<Run> {
    let mut flags = Flags::read(statement, FLAGS, sink);
    let command = Command::of(&statement.arguments);
    if command == Command::Exec(Vec::new()) {
        let problem = Diagnostic::error(statement.span, "`RUN []` names no program");
        sink.push(problem.with_remedy("write the program and its arguments in the array"));
    }
    let network = flags.value("network");
    let security = flags.value("security");
    let network_given = network.is_some();
    let networks = [
        ("default", NetworkMode::Default),
        ("none", NetworkMode::None),
        ("host", NetworkMode::Host),
    ];
    let rights = [("sandbox", Security::Sandbox), ("insecure", Security::Insecure)];
    let mut mounts = Vec::new();
    for word in flags.values("mount") {
        match fields(&word) {
            Ok(options) => mounts.push((word, options)),
            Err(problem) => sink.push(problem),
        }
    }
    for (_, options) in &mounts {
        for option in options.iter().filter(|it| it.key == "from") {
            check_from(option, sink);
        }
    }
    let devices = flags.values("device").iter().filter_map(|word| device(word, sink)).collect();
    Some(Run {
        command,
        documents: statement.documents.clone(),
        mounts,
        network: one_of(network.as_ref(), "network mode", networks, sink),
        network_given,
        security: one_of(security.as_ref(), "security mode", rights, sink),
        devices,
    })
}

fn one_of<T: Default, const N: usize>(
    word: Option<&Word>,
    what: &str,
    known: [(&'static str, T); N],
    sink: &mut Sink,
) -> T {
    let Some(word) = word else { return T::default() };
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let remedy = nearest::remedy(&word.text, &names);
    if let Some((_, value)) = known.into_iter().find(|(name, _)| *name == word.text) {
        return value;
    }
    let problem = Diagnostic::error(word.span, format!("`{}` is no {what}", word.text));
    sink.push(problem.with_remedy(remedy));
    T::default()
}

/// A stage is looked up before variables have values.
fn check_from(option: &MountOption, sink: &mut Sink) {
    let Some(value) = &option.value else { return };
    if value.find('$').is_some_and(|at| at + 1 < value.len()) {
        let problem = Diagnostic::error(option.span, "`from` of a mount cannot have variables");
        sink.push(
            problem.with_remedy("define a stage `FROM $IMAGE AS NAME`, and write `from=NAME`"),
        );
    }
}

fn device(word: &Word, sink: &mut Sink) -> Option<Device> {
    let options = match fields(word) {
        Ok(options) => options,
        Err(problem) => {
            sink.push(problem);
            return None;
        }
    };
    let mut device = Device { name: String::new(), required: false };
    for option in options {
        let result = match (option.key.as_str(), &option.value) {
            ("required", None) => {
                device.required = true;
                Ok(())
            }
            ("required", Some(value)) => truth(&option, value).map(|value| device.required = value),
            ("name", Some(value)) if device.name.is_empty() => {
                device.name.clone_from(value);
                Ok(())
            }
            ("name", Some(_)) => Err(Diagnostic::error(option.span, "the device has two names")),
            _ if device.name.is_empty() => {
                device.name.clone_from(&option.written);
                Ok(())
            }
            (key, _) => {
                Err(Diagnostic::error(option.span, format!("unknown option `{key}` of a device"))
                    .with_remedy(nearest::remedy(key, &["name", "required"])))
            }
        };
        if let Err(problem) = result {
            sink.push(problem);
        }
    }
    Some(device)
}
