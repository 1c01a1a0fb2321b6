//! What steps do to the config of an image.

use boxwright_core::Platform;
use boxwright_dockerfile::plan::{Action, Health};
use boxwright_image::config::{History, ImageConfig};
use serde_json::{Map, Value};

use crate::time::rfc3339;

/// What the history says of the builder, so that tools read the words before it as BuildKit's.
const COMMENT: &str = "buildkit.dockerfile.v0";

/// Fields of a base's config that say how the base was built, and are wrong of what is built on it.
const OF_THE_BASE: [&str; 5] = ["container", "container_config", "docker_version", "id", "parent"];

/// Returns the config of an image with nothing in it.
pub(crate) fn empty(platform: &Platform) -> ImageConfig {
    ImageConfig {
        architecture: platform.architecture().to_owned(),
        os: platform.os().to_owned(),
        variant: platform.variant().map(str::to_owned),
        ..ImageConfig::default()
    }
}

/// Takes off what concerns the base alone. Returns its triggers.
pub(crate) fn take_triggers(config: &mut ImageConfig) -> Vec<String> {
    OF_THE_BASE.iter().for_each(|name| drop(config.other.remove(*name)));
    config.config.on_build.take().unwrap_or_default()
}

/// Notes in the history that a step was done.
pub(crate) fn add_history(config: &mut ImageConfig, text: String, created: i64, has_layer: bool) {
    config.history.push(History {
        created: Some(rfc3339(created)),
        created_by: text,
        comment: COMMENT.to_owned(),
        empty_layer: !has_layer,
        ..History::default()
    });
}

/// Does what `action` does to the config. Variables are set when the stage ends.
pub(crate) fn apply(image: &mut ImageConfig, action: &Action) {
    let config = &mut image.config;
    let nothing = || Value::Object(Map::new());
    let list = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    match action {
        Action::Run(_) | Action::Copy(_) | Action::Arg(_) | Action::Env(_) => {}
        Action::WorkingDirectory { path, .. } => config.working_dir.clone_from(path),
        Action::Label(pairs) => config.labels.extend(pairs.iter().cloned()),
        Action::User(user) => config.user.clone_from(user),
        Action::Cmd(words) => config.cmd = list(words),
        Action::Entrypoint { arguments, clears_cmd } => {
            config.entrypoint = list(arguments);
            if *clears_cmd {
                config.cmd = None;
            }
        }
        Action::Expose(ports) => {
            config.exposed_ports.extend(ports.iter().map(|port| (port.clone(), nothing())));
        }
        Action::Volume(paths) => {
            config.volumes.extend(paths.iter().map(|path| (path.clone(), nothing())));
        }
        Action::Shell(words) => config.shell = Some(words.clone()),
        Action::Healthcheck(check) => config.healthcheck = Some(health(check)),
        Action::OnBuild(text) => config.on_build.get_or_insert_default().push(text.clone()),
        Action::StopSignal(signal) => config.stop_signal = Some(signal.clone()),
        Action::Author(name) => {
            image.other.insert("author".to_owned(), name.as_str().into());
        }
    }
}

fn health(check: &Health) -> Value {
    let mut fields = Map::new();
    fields.insert("Test".into(), check.test.clone().into());
    for (name, value) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
        ("Retries", check.retries.into()),
    ] {
        if value != 0 {
            fields.insert(name.into(), value.into());
        }
    }
    Value::Object(fields)
}
