//! What an image starts, as its config says.

use std::fs;
use std::io;

use boxwright_core::{Error, ErrorKind, Result};
use rustix::process::Signal;
use serde::Deserialize;

use crate::execute::DEFAULT_PATH;

/// The config of an image, as far as it says what is started.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Config {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Vec<String>,
    pub(super) user: String,
    pub(super) working_dir: String,
    stop_signal: Option<String>,
}

impl Config {
    /// Reads the config in `file`, or `None` if there is none.
    pub(super) fn read(file: &str) -> Result<Option<Self>> {
        let broken = |cause: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::InvalidInput, format!("cannot read `{file}`")).with_source(cause)
        };
        match fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| broken(e.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(broken(error.into())),
        }
    }

    /// Returns the program and its arguments.
    pub(super) fn command(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.cmd).flatten().cloned().collect()
    }

    /// Returns the environment: the image's, and after it that of the instance, which comes over it.
    pub(super) fn environment<'a>(
        &'a self,
        instance: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Vec<(String, String)> {
        let of_image = self.env.iter().filter_map(|line| line.split_once('='));
        // LXC gives the first process a `PATH` and a `HOME` that nobody asked for.
        let of_instance = instance.filter(|(name, _)| !matches!(*name, "PATH" | "HOME"));
        let all = [("PATH", DEFAULT_PATH)].into_iter().chain(of_image).chain(of_instance);
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Returns the signal that asks the program to end.
    pub(super) fn stop_signal(&self) -> Signal {
        let text = self.stop_signal.as_deref().unwrap_or_default().to_ascii_uppercase();
        let number = match text.trim_start_matches("SIG") {
            "HUP" => 1,
            "INT" => 2,
            "QUIT" => 3,
            "KILL" => 9,
            "USR1" => 10,
            "USR2" => 12,
            "WINCH" => 28,
            other => other.parse().unwrap_or(15),
        };
        Signal::from_named_raw(number).unwrap_or(Signal::TERM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Config {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_instances_variables_come_over_those_of_the_image() {
        let found = config(r#"{"Env":["A=1","B=2=3"],"Entrypoint":["/a"],"Cmd":["b"]}"#);
        assert_eq!(found.command(), ["/a", "b"]);
        let own = [("B", "own"), ("PATH", "/lxc"), ("container", "lxc")];
        let all = found.environment(own.into_iter());
        let lines: Vec<_> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let path = format!("PATH={DEFAULT_PATH}");
        assert_eq!(lines, [path.as_str(), "A=1", "B=2=3", "B=own", "container=lxc"]);
    }

    #[test]
    fn the_stop_signal_has_a_name_or_a_number() {
        for (text, signal) in [
            ("\"SIGINT\"", Signal::INT),
            ("\"usr1\"", Signal::USR1),
            ("\"9\"", Signal::KILL),
            ("\"sigwhat\"", Signal::TERM),
            ("null", Signal::TERM),
        ] {
            assert_eq!(config(&format!("{{\"StopSignal\":{text}}}")).stop_signal(), signal);
        }
    }
}
