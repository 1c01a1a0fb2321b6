//! `cargo xtask demo`: set-up and the main job in one command, with the commands that a user would type.

use std::path::Path;

use serde_json::Value;

use crate::console::{say, show};
use crate::environment::start::Images;
use crate::environment::{Environment, quoted};
use crate::problem::{Problem, Result};
use crate::program::Program;
use crate::workspace;

/// Runs `cargo xtask demo`.
pub(crate) fn run() -> Result<()> {
    say("== building the program: cargo build --package boxwright-cli");
    let boxwright = workspace::build("boxwright-cli", "boxwright", &[])?;
    if has_ready_engine(&boxwright)? {
        say("== an engine is ready; starting a registry for the demo");
        match with(&boxwright, &[REGISTRY]) {
            Ok(()) => return Ok(()),
            // It is ready to answer, but a container may be more than it can start on this machine.
            Err(problem) => {
                show(&problem);
                say("\n== that engine cannot do it here; trying again with one of our own");
            }
        }
    } else {
        say("== no engine is ready; starting one and a registry for the demo");
    }
    let engine = if rustix::process::geteuid().is_root() { "docker" } else { "podman/rootless" };
    with(&boxwright, &[REGISTRY, engine])
}

const REGISTRY: &str = "registry/open";

/// Shows the main job in an environment of `setups`, and ends that.
fn with(boxwright: &Path, setups: &[&str]) -> Result<()> {
    let setups: Vec<String> = setups.iter().copied().map(str::to_owned).collect();
    let environment = Environment::up(&setups, Images::Small)?;
    let shown = show_main_job(boxwright, &environment);
    forget(boxwright, &environment);
    environment.down()?;
    shown
}

/// Asks the program itself which engines it can use.
fn has_ready_engine(boxwright: &Path) -> Result<bool> {
    let answer = Program::new(boxwright).args(["engines", "--format", "json"]).captured()?;
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    Ok(names_ready(&answer))
}

fn names_ready(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.get("state").and_then(Value::as_str) == Some("ready")
                || fields.values().any(names_ready)
        }
        Value::Array(items) => items.iter().any(names_ready),
        _ => false,
    }
}

/// Removes what may be left in the user's own engine: the base, and the image of a demo that failed.
fn forget(boxwright: &Path, environment: &Environment) {
    let variable = |name: &str| environment.variables.get(name).cloned().unwrap_or_default();
    let image = image_in(&variable("BOXWRIGHT_TEST_REGISTRY_OPEN"));
    for name in [image, variable("BOXWRIGHT_TEST_BASE")] {
        // Most engines have none of them by now, and say so.
        let _ = Program::new(boxwright).args(["remove", &name]).captured();
    }
}

fn image_in(registry: &str) -> String {
    format!("{registry}/demo/hello:1")
}

fn show_main_job(boxwright: &Path, environment: &Environment) -> Result<()> {
    let variable = |name: &str| environment.variables.get(name).cloned();
    let missing = || Problem::new("the environment has no registry");
    let registry = variable("BOXWRIGHT_TEST_REGISTRY_OPEN").ok_or_else(missing)?;
    let base = variable("BOXWRIGHT_TEST_BASE").ok_or_else(missing)?;
    let engine = ["DOCKER_HOST", "CONTAINER_HOST"]
        .into_iter()
        .filter_map(|name| Some((name, variable(name)?)))
        .chain(variable("BOXWRIGHT_TEST_PODMAN_ROOTLESS").map(|host| ("CONTAINER_HOST", host)));
    let engine: Vec<(&str, String)> = engine.collect();
    for (name, value) in &engine {
        say(format!("\n$ export {name}={}", quoted(value)));
    }
    let image = image_in(&registry);
    let base = format!("BASE={base}");
    let type_in = |arguments: &[&str]| {
        let shown: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
        say(format!("\n$ boxwright {}", shown.join(" ")));
        let mut program = Program::new(boxwright).args(arguments).in_folder(&workspace::root());
        if !engine.is_empty() {
            program = environment.point(program);
        }
        for (name, value) in &engine {
            program = program.variable(name, value);
        }
        program
    };
    type_in(&["engines"]).run()?;
    type_in(&["build", "docs/examples/hello", "--build-arg", &base, "-t", &image, "--push"])
        .run_or_fail()?;
    type_in(&["remove", &image]).run_or_fail()?;
    type_in(&["pull", &image]).run_or_fail()?;
    let said = type_in(&["run", &image]).text()?;
    say(&said);
    type_in(&["remove", &image]).run_or_fail()?;
    if !said.contains("added by a step") {
        return Err(Problem::new("the image does not hold what its steps wrote").cause(said));
    }
    say(format!(
        "\nBuilt docs/examples/hello, pushed it to the registry at {registry} as demo/hello:1, removed it,\n\
         pulled it back, and ran it. What was started for this is being ended."
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::names_ready;

    #[test]
    fn a_ready_engine_is_found_among_others() {
        let absent = json!([{ "engine": "lxd", "state": "absent" }]);
        assert!(!names_ready(&absent));
        let ready = json!({ "engines": [{ "state": "unusable" }, { "state": "ready" }] });
        assert!(names_ready(&ready));
    }
}
