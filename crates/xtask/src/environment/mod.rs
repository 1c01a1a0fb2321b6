//! Real engines and registries for tests, beside any that the user has: `cargo xtask environment`.

pub(crate) mod base_image;
pub(crate) mod certificates;
pub(crate) mod clear;
mod containerd;
mod daemon;
mod docker;
mod image;
mod layout;
mod lxd;
mod network;
mod podman;
pub(crate) mod processes;
pub(crate) mod registry;
mod setup;
mod stand_in;
pub(crate) mod start;
mod state;
pub(crate) mod supervisor;
pub(crate) mod user;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use rustix::process::{Signal, getuid};

use crate::console::{print, say};
use crate::packages::{self, Need};
use crate::problem::{Problem, Result};
use crate::program::Program;
use crate::workspace;
use layout::Layout;
use processes::Process;
use setup::{Setup, choose, read_all};
use start::Images;
use state::State;
use supervisor::{Lifetime, Supervisor};

/// How long a supervisor may take to end everything.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the folders of environments of one run begin with; the number of the process follows.
const RUNS: &str = "/var/tmp/boxwright-run-";

/// Variables that choose an engine, or say how one is reached.
const OTHER_ENGINES: &[&str] = &[
    "BOXWRIGHT_BUILDER",
    "BOXWRIGHT_ENGINE",
    "BOXWRIGHT_STORE",
    "CONTAINERD_ADDRESS",
    "CONTAINERD_NAMESPACE",
    "CONTAINERD_SNAPSHOTTER",
    "CONTAINER_CONNECTION",
    "CONTAINER_HOST",
    "CONTAINER_SSHKEY",
    "CONTAINER_TLS_CA",
    "CONTAINER_TLS_CERT",
    "CONTAINER_TLS_KEY",
    "DOCKER_API_VERSION",
    "DOCKER_CERT_PATH",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
    "INCUS_DIR",
    "INCUS_SOCKET",
    "LXD_DIR",
    "LXD_SOCKET",
];

/// What to do with an environment.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring engines and registries up, and print the variables that tests read
    Up {
        #[command(flatten)]
        place: Place,
        /// Make the image of Debian for the corpora, too: some 30 seconds, once
        #[arg(long)]
        full: bool,
        /// Engines or setups, such as `docker` or `podman/rootless`; all that this user can have, if none is named
        setups: Vec<String>,
    },
    /// End everything that `up` started and remove its folder
    Down {
        #[command(flatten)]
        place: Place,
    },
    /// Print the variables of an environment that is up: `eval "$(cargo xtask environment env)"`
    Env {
        #[command(flatten)]
        place: Place,
    },
    /// List the setups
    List,
}

/// Where the environment is.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// Folder of the environment, with a short absolute path
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Place {
    fn layout(&self) -> Result<Layout> {
        Layout::new(&self.dir.clone().unwrap_or_else(Layout::usual_folder))
    }
}

/// Runs `cargo xtask environment`.
pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Up { place, full, setups } => {
            let images = if *full { Images::All } else { Images::Small };
            let layout = place.layout()?;
            if let Some(state) = State::read(&layout)?.filter(is_up) {
                return print_running(setups, images, &state);
            }
            let setups = prepare(setups, images)?;
            sweep(&layout)?;
            layout.create()?;
            Supervisor::start(&layout, &setups, images, Lifetime::UntilDown, None)?;
            say(format!("end it with `cargo xtask environment down{}`", dir_flag(place)));
            print_state(&layout)
        }
        Command::Down { place } => down(&place.layout()?),
        Command::Env { place } => print_state(&place.layout()?),
        Command::List => {
            for setup in read_all(&workspace::environments())? {
                print(format!("{:20} {}", setup.name, setup.about));
            }
            Ok(())
        }
    }
}

/// An environment that lives as long as this process.
#[derive(Debug)]
pub(crate) struct Environment {
    supervisor: Supervisor,
    /// What tests read.
    pub(crate) variables: BTreeMap<String, String>,
    daemons: Vec<Process>,
}

impl Environment {
    /// Brings up what `setups` name, in a folder that no other run has.
    pub(crate) fn up(setups: &[String], images: Images) -> Result<Self> {
        Self::up_on(setups, images, None)
    }

    /// As [`Environment::up`], with the data of each engine on a disk of so many MB.
    pub(crate) fn up_on(setups: &[String], images: Images, disk: Option<u32>) -> Result<Self> {
        let setups = prepare(setups, images)?;
        sweep_abandoned();
        let name = format!("{RUNS}{}", rustix::process::getpid().as_raw_nonzero());
        let layout = Layout::new(Path::new(&name))?;
        sweep(&layout)?;
        layout.create()?;
        let supervisor =
            Supervisor::start(&layout, &setups, images, Lifetime::OfThisProcess, disk)?;
        let state = State::read(&layout)?.unwrap_or_default();
        Ok(Self { supervisor, variables: state.variables, daemons: state.daemons })
    }

    /// Returns the daemons that were started directly.
    pub(crate) fn daemons(&self) -> &[Process] {
        &self.daemons
    }

    /// Returns `program` with the variables of this environment, and without those that lead to other engines.
    pub(crate) fn point(&self, mut program: Program) -> Program {
        for name in OTHER_ENGINES {
            program = program.without_variable(name);
        }
        for (name, value) in &self.variables {
            program = program.variable(name, value);
        }
        program
    }

    /// Ends it and waits until it is gone.
    pub(crate) fn down(self) -> Result<()> {
        self.supervisor.end()
    }
}

/// Clears what runs left that were killed together with their supervisors.
fn sweep_abandoned() {
    let folder = Path::new(RUNS).parent().and_then(|folder| std::fs::read_dir(folder).ok());
    for entry in folder.into_iter().flatten().flatten() {
        let of_a_run = entry.path().to_string_lossy().starts_with(RUNS);
        let owner = std::fs::symlink_metadata(entry.path()).map(|found| found.uid());
        if !of_a_run || owner.ok() != Some(getuid().as_raw()) {
            continue;
        }
        // One that is held is in use, which is what the error says.
        if let Ok(layout) = Layout::new(&entry.path())
            && let Err(problem) = sweep(&layout)
            && !State::read(&layout).is_ok_and(|state| state.is_some_and(|state| is_held(&state)))
        {
            say(problem.to_string());
        }
    }
}

/// Installs what the setups need, and returns their names.
fn prepare(wanted: &[String], images: Images) -> Result<Vec<String>> {
    let mut setups = choose(read_all(&workspace::environments())?, wanted)?;
    if !getuid().is_root() {
        let (of_root, others): (Vec<Setup>, Vec<Setup>) =
            setups.into_iter().partition(Setup::needs_root);
        if let (Some(setup), false) = (of_root.first(), wanted.is_empty()) {
            return Err(Problem::new(format!("cannot bring up {}", setup.name))
                .cause("only root can run it on a socket of its own")
                .help("run the same command as root, or name `podman/rootless` alone"));
        }
        for setup in of_root {
            say(format!("{} is left out: it needs root", setup.name));
        }
        setups = others;
    }
    let busybox = (["busybox".to_owned()], ["busybox-static".to_owned()]);
    let mut needs: Vec<Need<'_>> = setups
        .iter()
        .map(|setup| Need { programs: &setup.programs, packages: &setup.packages })
        .collect();
    needs.push(Need { programs: &busybox.0, packages: &busybox.1 });
    // Where the kernel has it, dockerd starts no container without this program.
    let apparmor = (["apparmor_parser".to_owned()], ["apparmor".to_owned()]);
    let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    if enabled.is_ok_and(|text| text.trim() == "Y") && setups.iter().any(|s| s.docker.is_some()) {
        needs.push(Need { programs: &apparmor.0, packages: &apparmor.1 });
    }
    packages::ensure(&needs)?;
    if images == Images::All {
        stand_in::debian::prepare()?;
        // Not in the supervisor: it is no part of the environment's life.
        stand_in::debian::layer(&stand_in::debian::DEBIAN)?;
        stand_in::debian::layer(&stand_in::debian::PYTHON)?;
    }
    Ok(setups.into_iter().map(|setup| setup.name).collect())
}

fn is_held(state: &State) -> bool {
    state.supervisor.is_some_and(Process::is_alive)
}

fn is_up(state: &State) -> bool {
    is_held(state) && state.variables.contains_key("BOXWRIGHT_TEST_ENVIRONMENT")
}

/// Prints the variables of an environment that is up already, if it has all that is wanted.
fn print_running(wanted: &[String], images: Images, state: &State) -> Result<()> {
    let wanted = choose(read_all(&workspace::environments())?, wanted)?;
    let missing = wanted.iter().find(|setup| !state.setups.contains(&setup.name));
    // What root alone can have was left out before, too.
    if let Some(setup) = missing.filter(|setup| getuid().is_root() || !setup.needs_root()) {
        return Err(Problem::new(format!("an environment without {} is up", setup.name))
            .help("end it first with `cargo xtask environment down`, or choose another folder with `--dir`"));
    }
    let map = state.variables.get(start::MAP).map(String::as_str).unwrap_or_default();
    if images == Images::All && !map.contains("/debian=") {
        return Err(Problem::new("an environment without the image of Debian is up")
            .help("end it first with `cargo xtask environment down`"));
    }
    print_variables(state)
}

/// Ends the environment in the folder of `layout`, whatever is left of it.
fn down(layout: &Layout) -> Result<()> {
    let Some(state) = State::read(layout)? else {
        say(format!("no environment is up in {}", layout.folder().display()));
        return Ok(());
    };
    if let Some(supervisor) = state.supervisor {
        supervisor.signal(Signal::TERM);
        if !supervisor.wait(PATIENCE) {
            supervisor.signal(Signal::KILL);
            supervisor.wait(PATIENCE);
        }
    }
    // It has cleared everything itself, unless it was killed.
    sweep(layout)?;
    say(format!("the environment in {} is gone", layout.folder().display()));
    Ok(())
}

/// Clears what an environment left whose supervisor was killed.
fn sweep(layout: &Layout) -> Result<()> {
    match State::read(layout)? {
        Some(state) if is_held(&state) => {
            let folder = layout.folder().display();
            Err(Problem::new(format!("the environment in {folder} is coming up or going down"))
                .help("wait for it, or end it with `cargo xtask environment down`"))
        }
        Some(state) => clear::clear(layout, &state),
        None => Ok(()),
    }
}

fn print_state(layout: &Layout) -> Result<()> {
    match State::read(layout)?.filter(is_up) {
        Some(state) => print_variables(&state),
        None => Err(Problem::new(format!("no environment is up in {}", layout.folder().display()))
            .help("bring one up with `cargo xtask environment up`")),
    }
}

fn print_variables(state: &State) -> Result<()> {
    for (name, value) in &state.variables {
        print(format!("export {name}={}", quoted(value)));
    }
    Ok(())
}

/// Returns `value` as one word of a shell.
pub(crate) fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/.:_-=@%+,".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', "'\\''"))
}

fn dir_flag(place: &Place) -> String {
    place.dir.as_ref().map(|dir| format!(" --dir {}", dir.display())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn values_are_quoted_for_a_shell() {
        assert_eq!(quoted("localhost:5000"), "localhost:5000");
        assert_eq!(quoted("a>b"), "'a>b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}
