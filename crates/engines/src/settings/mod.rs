//! What a user, a project, the environment and the command line say, merged, with the origin of each value.
//!
//! Two files are read: the user's, `config.toml` in `~/.config/boxwright`, and the project's,
//! `boxwright.toml` in the working directory or the nearest folder above. The project's file is part
//! of a checkout that nobody vouches for, so it may choose an engine and say how to build, but
//! endpoints, credentials, and how registries are reached come from the user alone.

mod effective;
mod load;
mod model;
mod report;

use std::path::PathBuf;

use boxwright_core::{Choice, Origin, PullPolicy, RegistrySettings};

pub use effective::Effective;
pub use model::{
    BuildTable, EngineTable, ProgressMode, ProjectBuildTable, ProjectEngineTable, ProjectFile,
    SpecTable, UserFile, schema,
};

/// A value, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it was said: a flag, a variable, or a file with its path.
    pub origin: Origin,
}

/// All settings in effect.
#[derive(Clone, Debug)]
pub struct Settings {
    user: UserFile,
    engine: Option<Setting<String>>,
    preference: Setting<Vec<String>>,
    builder: Option<Setting<String>>,
    platform: Option<Setting<String>>,
    pull: Option<Setting<PullPolicy>>,
    progress: Option<Setting<ProgressMode>>,
    spec: SpecTable,
    ca_bundle: Option<Setting<PathBuf>>,
    files: Vec<PathBuf>,
    effective: effective::Table,
}

impl Settings {
    /// Returns which engine was asked for, in the form that [`Catalog::choose`](boxwright_core::Catalog::choose) takes.
    #[must_use]
    pub fn choices(&self) -> Vec<Choice> {
        let choice = self.engine.clone();
        choice.map(|it| Choice { engine: it.value, origin: it.origin }).into_iter().collect()
    }

    /// Returns the engines that `auto` may choose, the first one before the second.
    #[must_use]
    pub fn preference(&self) -> &Setting<Vec<String>> {
        &self.preference
    }

    /// Returns the builder that was asked for, such as `classic`.
    #[must_use]
    pub fn builder(&self) -> Option<&Setting<String>> {
        self.builder.as_ref()
    }

    /// Returns the platform to build for.
    #[must_use]
    pub fn platform(&self) -> Option<&Setting<String>> {
        self.platform.as_ref()
    }

    /// Returns when base images are pulled.
    #[must_use]
    pub fn pull(&self) -> Option<&Setting<PullPolicy>> {
        self.pull.as_ref()
    }

    /// Returns how progress is shown.
    #[must_use]
    pub fn progress(&self) -> Option<&Setting<ProgressMode>> {
        self.progress.as_ref()
    }

    /// Returns the images that image specifications take where they name none.
    #[must_use]
    pub fn spec(&self) -> &SpecTable {
        &self.spec
    }

    /// Returns the file with the authorities that steps trust.
    #[must_use]
    pub fn ca_bundle(&self) -> Option<&Setting<PathBuf>> {
        self.ca_bundle.as_ref()
    }

    /// Returns how single registries are reached.
    #[must_use]
    pub fn registries(&self) -> RegistrySettings {
        RegistrySettings(self.user.registry.clone())
    }

    /// Returns the files that were read.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Returns every value in effect, in the order of their names.
    pub fn effective(&self) -> impl Iterator<Item = &Effective> {
        self.effective.iter()
    }

    /// Returns how each engine is reached.
    #[must_use]
    pub fn engines(&self) -> &EngineTable {
        &self.user.engine
    }

    pub(crate) fn engines_mut(&mut self) -> &mut EngineTable {
        &mut self.user.engine
    }

    pub(crate) fn with_effective(
        mut self,
        name: &str,
        value: &str,
        origin: impl Into<Origin>,
    ) -> Self {
        self.effective.set(name, value.into(), &origin.into());
        self
    }

    /// Returns the settings with the engine that a flag names.
    #[must_use]
    pub fn with_engine(mut self, engine: &str, origin: impl Into<Origin>) -> Self {
        let origin = origin.into();
        self.effective.set("engine.use", engine.into(), &origin);
        self.engine = Some(Setting { value: engine.to_owned(), origin });
        self
    }

    /// Returns the settings with the builder that a flag names.
    #[must_use]
    pub fn with_builder(mut self, builder: &str, origin: impl Into<Origin>) -> Self {
        let origin = origin.into();
        self.effective.set("build.builder", builder.into(), &origin);
        self.builder = Some(Setting { value: builder.to_owned(), origin });
        self
    }
}
