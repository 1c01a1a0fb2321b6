//! More of a stage: daemons beside and instead of its own, and what they say themselves.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::expect;
use super::stage::{Running, Stage, until};
use crate::http::{self, Request};
use crate::problem::{Explain, Problem, Result};
use crate::program::Program;

/// Says that it waits by a file, and becomes the rest of its arguments once there is one called as the first.
const WHEN_THERE: &str =
    ": > \"$1.waits\"; while [ ! -e \"$1\" ]; do sleep 0.05; done; shift; exec \"$@\"";

impl Stage {
    /// Ends the daemon called `name` at once, and starts it again.
    pub(super) fn restart(&self, name: &str) -> Result<Running> {
        let signal = self.path("restart");
        // It is in the daemon's mount namespace before that daemon ends, and the namespace with it.
        let again = self.start(self.beside(name, Some(&signal), |arguments| arguments)?)?;
        let waits = self.path("restart.waits");
        expect(until(|| waits.exists()), || format!("`{name}` is not ready to start again"))?;
        self.kill(name)?;
        fs::write(&signal, "").explain(|| format!("cannot write `{}`", signal.display()))?;
        Ok(again)
    }

    /// Returns a Podman service with the same images, at `address`.
    pub(super) fn podman_beside(&self, address: &str) -> Result<Program> {
        self.beside("podman", None, |mut arguments| {
            arguments.pop();
            arguments.push(address.to_owned());
            arguments
        })
    }

    /// Returns the command that the daemon called `name` was started by, with its environment and view of the file system.
    fn beside(
        &self,
        name: &str,
        signal: Option<&Path>,
        change: impl Fn(Vec<String>) -> Vec<String>,
    ) -> Result<Program> {
        let pid = self.daemon(name)?.pid;
        let strings = |file: &str| -> Result<Vec<String>> {
            let path = format!("/proc/{pid}/{file}");
            let bytes = fs::read(&path).explain(|| format!("cannot read `{path}`"))?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Ok(text.split_terminator('\0').map(str::to_owned).collect())
        };
        let mut program = Program::without_environment("nsenter")
            .args(["--mount", "--target", &pid.to_string(), "--"])
            .args(["setpriv", "--pdeathsig", "KILL", "--"]);
        if let Some(signal) = signal {
            program = program.args(["sh", "-c", WHEN_THERE, "restart"]).arg(signal);
        }
        program = program.args(change(strings("cmdline")?));
        for variable in strings("environ")? {
            if let Some((name, value)) = variable.split_once('=') {
                program = program.variable(name, value);
            }
        }
        Ok(program)
    }

    /// Asks containerd by its own client.
    pub(super) fn ctr(&self, arguments: &[&str]) -> Result<String> {
        let address = self.variable("CONTAINERD_ADDRESS")?;
        Program::new("ctr").args(["--address", address]).args(arguments).text()
    }

    /// Sends a request to LXD, and waits for what it starts.
    pub(super) fn lxc(&self, method: &str, target: &str, body: &str) -> Result<Value> {
        let socket = Path::new(self.variable("LXD_DIR")?).join("unix.socket");
        let send = |method: &str, target: &str, body: &str| -> Result<Value> {
            let what = || format!("cannot ask LXD: {method} {target}");
            let content_type = Some("application/json").filter(|_| !body.is_empty());
            let request = Request { method, target, content_type, body: body.as_bytes() };
            let answer = http::over_unix(&socket, &request).explain(what)?;
            let value: Value = serde_json::from_slice(&answer.body).explain(what)?;
            match value["type"] == "error" {
                true => Err(Problem::new(what()).cause(value)),
                false => Ok(value),
            }
        };
        let answer = send(method, target, body)?;
        match answer["operation"].as_str().filter(|path| !path.is_empty()) {
            Some(operation) => send("GET", &format!("{operation}/wait"), ""),
            None => Ok(answer),
        }
    }
}
