//! `cargo xtask demo`: the main job in one command, with the commands that a user would type.

use std::path::Path;

use crate::console::say;
use crate::environment::start::Images;
use crate::environment::{Environment, quoted};
use crate::problem::{Problem, Result};
use crate::program::Program;
use crate::workspace;

/// The exit code of `boxwright` for what cannot be done here.
const UNSUPPORTED: i32 = 4;

/// Runs `cargo xtask demo`.
pub(crate) fn run() -> Result<()> {
    say("== building the program: cargo build --package boxwright-cli");
    let boxwright = workspace::build("boxwright-cli", "boxwright", &[])?;
    say("== starting a registry for the demo; no container engine is needed");
    let environment = Environment::up(&["registry/open".to_owned()], Images::Small)?;
    let shown = Demo::new(&boxwright, &environment).and_then(|demo| demo.show());
    environment.down()?;
    shown
}

/// The demo, with the embedded engine and a store that ends with the environment.
struct Demo<'a> {
    boxwright: &'a Path,
    environment: &'a Environment,
    registry: String,
    base: String,
    store: String,
}

impl<'a> Demo<'a> {
    fn new(boxwright: &'a Path, environment: &'a Environment) -> Result<Self> {
        let variable = |name: &str| {
            let value = environment.variables.get(name).cloned();
            value.ok_or_else(|| Problem::new("the environment has no registry").cause(name))
        };
        let registry = variable("BOXWRIGHT_TEST_REGISTRY_OPEN")?;
        let base = variable("BOXWRIGHT_TEST_BASE")?;
        let store = variable("BOXWRIGHT_STORE")?;
        Ok(Self { boxwright, environment, registry, base, store })
    }

    fn show(mut self) -> Result<()> {
        let image = format!("{}/demo/hello:1", self.registry);
        let base = format!("BASE={}", self.base);
        say("\n$ export BOXWRIGHT_ENGINE=embedded");
        say(format!("$ export BOXWRIGHT_STORE={}", quoted(&self.store)));
        self.done(&["engines"])?;
        let build = ["build", "docs/examples/hello", "--build-arg", &base, "-t", &image, "--push"];
        let (code, pushed) = self.type_in(&build)?;
        let (pushed, has_steps) = match code {
            Some(0) => (pushed, true),
            Some(UNSUPPORTED) => {
                say("\nSteps cannot be run here, as it says. The stage before the step has none:");
                (self.done(&[&build[..], &["--target", "files"]].concat())?, false)
            }
            _ => return Err(Problem::new("the image could not be built and pushed")),
        };
        self.done(&["remove", &image])?;
        // Blobs of a removed image may stay; into another store all of them have to come.
        self.store = format!("{}-2", self.store);
        say(format!("\n$ export BOXWRIGHT_STORE={}", quoted(&self.store)));
        self.done(&["pull", &image])?;
        let found = self.done(&["inspect", &image])?;
        // `boxwright build --push` prints NAME@DIGEST.
        let digest = pushed.trim().rsplit('@').next().unwrap_or_default();
        if !digest.starts_with("sha256:") || !found.contains(digest) {
            return Err(Problem::new("what was pulled is not what was pushed").cause(found));
        }
        let ran = self.ran(&image, has_steps)?;
        self.done(&["remove", &image])?;
        let built =
            if has_steps { "docs/examples/hello" } else { "the files of docs/examples/hello" };
        let end =
            if ran { ", and ran it" } else { "; commands cannot be run here, so it was not run" };
        say(format!(
            "\nBuilt {built} with no container engine, pushed it to the registry at {} as demo/hello:1,\n\
             removed it, pulled the same digest back into an empty store{end}. What was started for this is being ended.",
            self.registry
        ));
        Ok(())
    }

    /// Runs the image and looks at what it says. Returns whether commands can be run here.
    fn ran(&self, image: &str, has_steps: bool) -> Result<bool> {
        match self.type_in(&["run", image])? {
            (Some(UNSUPPORTED), _) => Ok(false),
            (Some(0), said) if said.contains("Hello") => {
                if has_steps && !said.contains("added by a step") {
                    let problem = Problem::new("the image does not hold what its steps wrote");
                    return Err(problem.cause(said));
                }
                Ok(true)
            }
            (_, said) => Err(Problem::new("the image did not run").cause(said)),
        }
    }

    /// Types a command in that must succeed, and returns what it printed.
    fn done(&self, arguments: &[&str]) -> Result<String> {
        match self.type_in(arguments)? {
            (Some(0), printed) => Ok(printed),
            _ => Err(Problem::new(format!("`boxwright {}` did not succeed", arguments.join(" ")))),
        }
    }

    fn type_in(&self, arguments: &[&str]) -> Result<(Option<i32>, String)> {
        let shown: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
        say(format!("\n$ boxwright {}", shown.join(" ")));
        let program = Program::new(self.boxwright).args(arguments).in_folder(&workspace::root());
        let program = self.environment.point(program).variable("BOXWRIGHT_ENGINE", "embedded");
        let program = program.variable("BOXWRIGHT_STORE", &self.store);
        let (code, printed) = program.heard()?;
        if !printed.is_empty() {
            say(printed.trim_end());
        }
        Ok((code, printed))
    }
}
