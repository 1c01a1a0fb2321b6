//! What a plan tells a builder to do: everything expanded, every path absolute.

use std::collections::BTreeMap;

use boxwright_core::{NetworkMode, Platform};

use crate::diagnostic::Span;
use crate::git::GitAddress;
use crate::instruction::{Device, Kind, Mount, Security};

/// The number of a stage in its file, from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub usize);

/// Where files come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The build context.
    Context,
    /// A context that the request names.
    NamedContext(String),
    /// A stage.
    Stage(StageId),
    /// An image, by its reference as written.
    Image(String),
    /// Nothing: an empty file system.
    Scratch,
}

/// One step of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it does.
    pub action: Action,
    /// The instruction on one line, as it is written, but for credentials in addresses.
    pub text: String,
    /// Where it is. A step that the base triggers is where the stage's `FROM` is.
    pub span: Span,
    /// Whether `ONBUILD` of the base brought it.
    pub triggered: bool,
}

/// What a step does. Those that are neither `Run`, `Copy` nor `WorkingDirectory` change nothing but the image's config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Runs a process.
    Run(Box<RunStep>),
    /// Copies files.
    Copy(Box<CopyStep>),
    /// Makes a folder, owned by the user of `user` if that is not empty, and sets it in the config.
    WorkingDirectory {
        /// The path for the config, absolute, as BuildKit writes it: not cleaned if it was absolute before.
        path: String,
        /// Who owns the folder if it is made.
        user: String,
    },
    /// Declares build arguments, for the history alone.
    Arg(Vec<(String, Option<String>)>),
    /// Sets variables.
    Env(Vec<(String, String)>),
    /// Sets labels.
    Label(Vec<(String, String)>),
    /// Sets the user.
    User(String),
    /// Sets the command.
    Cmd(Vec<String>),
    /// Sets the entry point.
    Entrypoint {
        /// The program and its arguments. Empty takes the base's off.
        arguments: Vec<String>,
        /// Whether the command of the base is taken off: there is no `CMD` above in this stage.
        clears_cmd: bool,
    },
    /// Adds ports, each as `80/tcp`.
    Expose(Vec<String>),
    /// Adds volumes.
    Volume(Vec<String>),
    /// Sets the shell.
    Shell(Vec<String>),
    /// Sets the health check.
    Healthcheck(Health),
    /// Adds a trigger.
    OnBuild(String),
    /// Sets the signal that stops a container.
    StopSignal(String),
    /// Sets the author.
    Author(String),
}

/// A process of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStep {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// A script that is mounted while the process runs, and is its program.
    pub script: Option<Script>,
    /// The user, as in the config. Empty means root.
    pub user: String,
    /// The working directory.
    pub working_directory: String,
    /// What is mounted.
    pub mounts: Vec<StepMount>,
    /// The network.
    pub network: NetworkMode,
    /// The rights.
    pub security: Security,
    /// The devices.
    pub devices: Vec<Device>,
    /// How many of the stage's assignments come before it. See [`Evaluated::environment`](super::Evaluated::environment).
    pub assigned: usize,
    /// How many of the stage's build arguments are declared before it.
    pub declared: usize,
}

/// A here-document that begins with `#!`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Where it is mounted, executable and read-only.
    pub path: String,
    /// What is in it.
    pub content: String,
}

/// A mount of a step. Its target is absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepMount {
    /// The mount.
    pub mount: Mount,
    /// Where its files come from: for `bind`, and for what a `cache` holds at first.
    pub source: Source,
}

/// Files that are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyStep {
    /// Whether it is `COPY` or `ADD`.
    pub kind: Kind,
    /// Where paths among the items are looked up.
    pub source: Source,
    /// What is copied, in order.
    pub items: Vec<CopyItem>,
    /// Where it goes: an absolute path, cleaned.
    pub destination: String,
    /// Whether the destination is written as a folder: it ends with a slash, or is `.`.
    pub into_folder: bool,
    /// The owner, as `USER[:GROUP]`.
    pub owner: Option<String>,
    /// The permission bits.
    pub mode: Option<Mode>,
    /// Whether the files get a layer that does not depend on those below.
    pub link: bool,
    /// Patterns of files that are left out.
    pub exclude: Vec<String>,
    /// The digest that a download must have, or the commit of a repository.
    pub checksum: Option<String>,
    /// Whether archives are unpacked, where that is said. Default: local ones are, by `ADD`.
    pub unpack: Option<bool>,
    /// Whether `.git` is kept, where that is said.
    pub keep_git_dir: Option<bool>,
    /// What the history of the image says, without its comment.
    pub(super) created_by: String,
}

/// One source of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyItem {
    /// Files of the source, by a path with patterns, absolute in it.
    Path {
        /// The path, cleaned.
        path: String,
        /// With `--parents`: the pattern below `path` whose folders are kept.
        below: Option<String>,
    },
    /// A file that is downloaded.
    Url {
        /// Where from.
        address: String,
        /// What it is called.
        name: String,
    },
    /// A repository.
    Git(GitAddress),
    /// A file whose content is in the Dockerfile. Its permission bits are 0644.
    Inline {
        /// What it is called.
        name: String,
        /// What is in it.
        content: String,
    },
}

/// Permission bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// These bits.
    Bits(u32),
    /// Changes such as `u=rwX,go-w`. They are checked, and applied to each file.
    Changes(String),
}

/// A health check for the config. Times are nanoseconds, and 0 is the engine's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The test: `NONE`, `CMD` and arguments, or `CMD-SHELL` and a text.
    pub test: Vec<String>,
    /// Time between two.
    pub interval: u64,
    /// How long one may take.
    pub timeout: u64,
    /// How long the start may take.
    pub start_period: u64,
    /// Time between two during the start.
    pub start_interval: u64,
    /// How many failures are needed.
    pub retries: u32,
}

/// What a stage starts with: of the config of its base, what changes the meaning of instructions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// The variables of the config, in order.
    pub env: Vec<(String, String)>,
    /// The working directory.
    pub working_directory: String,
    /// The user.
    pub user: String,
    /// The shell that `SHELL` set, or nothing.
    pub shell: Vec<String>,
    /// What is set while the stage is built: variables and build arguments.
    pub(super) values: BTreeMap<String, String>,
    /// The build arguments that are declared.
    pub(super) declared: Vec<(String, Option<String>)>,
}

impl Base {
    /// Returns what `FROM scratch` starts with.
    #[must_use]
    pub fn scratch() -> Self {
        Self { working_directory: "/".to_owned(), ..Self::default() }
    }

    /// Returns what an image starts with. `env` is as in its config, `NAME=VALUE`.
    #[must_use]
    pub fn of_image(env: &[String], working_directory: &str, user: &str, shell: &[String]) -> Self {
        let env = env.iter().map(|it| it.split_once('=').unwrap_or((it, "")));
        let env: Vec<(String, String)> =
            env.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self {
            values: env.iter().cloned().collect(),
            env,
            working_directory: working_directory.to_owned(),
            user: user.to_owned(),
            shell: shell.to_vec(),
            declared: Vec::new(),
        }
    }

    /// Returns how much memory a copy of it takes, roughly.
    pub(super) fn size(&self) -> usize {
        self.values.iter().map(|(name, value)| name.len() + value.len() + 100).sum()
    }
}

/// A stage of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Its number.
    pub id: StageId,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// What it starts from.
    pub base: Source,
    /// The platform that its `FROM` asks for.
    pub platform: Option<Platform>,
    /// Its `FROM` as written.
    pub text: String,
    /// Where its `FROM` is.
    pub span: Span,
    /// Every place that it takes files from, its base too, without the build context.
    pub sources: Vec<Source>,
}
