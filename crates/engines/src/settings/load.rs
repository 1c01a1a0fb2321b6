//! Finds and reads the two files and the variables, and merges them.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Host, PullPolicy, Result};
use serde::de::DeserializeOwned;

use super::effective::Table;
use super::model::{BuildTable, ProgressMode, ProjectFile, SpecTable, UserFile};
use super::{Setting, Settings, report};
use crate::list;

/// A settings file larger than this is some other file.
const SIZE_LIMIT: u64 = 1024 * 1024;

/// What the project's file is called.
const PROJECT_FILE: &str = "boxwright.toml";

impl Settings {
    /// Returns where the user's file is, or would be.
    #[must_use]
    pub fn user_file(host: &Host) -> Option<PathBuf> {
        Some(host.config_folder()?.join("boxwright").join("config.toml"))
    }

    /// Reads the user's file, the nearest project's file, and the variables `BOXWRIGHT_…`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when a file cannot be read or parsed, has a setting that is
    /// unknown, or, for the project's, one that only the user may make; with file, line and column.
    pub fn load(host: &Host) -> Result<Self> {
        let user = match Self::user_file(host) {
            Some(path) => read(&path)?,
            None => None,
        };
        let project = find_project_file(host.working_directory())?;
        merge(host, user, project)
    }
}

/// A file that was read.
struct Text {
    path: PathBuf,
    text: String,
}

impl Text {
    fn origin(&self) -> String {
        self.path.display().to_string()
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        toml::from_str(&self.text)
            .map_err(|error| report::parse_error(&self.path, &self.text, &error))
    }
}

fn find_project_file(folder: &Path) -> Result<Option<Text>> {
    for folder in folder.ancestors() {
        if let Some(text) = read(&folder.join(PROJECT_FILE))? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

fn read(path: &Path) -> Result<Option<Text>> {
    use std::io::ErrorKind as Io;
    let cannot = |cause: &str| {
        let message = format!("cannot read the settings `{}`", path.display());
        Error::new(ErrorKind::InvalidInput, message).with_cause(cause)
    };
    let data = match path.metadata() {
        Ok(data) => data,
        Err(error) if matches!(error.kind(), Io::NotFound | Io::NotADirectory) => return Ok(None),
        Err(error) => return Err(cannot(&error.to_string())),
    };
    if !data.is_file() {
        return Err(cannot("it is not a regular file"));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(|error| cannot(&error.to_string()))?;
    file.take(SIZE_LIMIT + 1)
        .read_to_string(&mut text)
        .map_err(|error| cannot(&error.to_string()))?;
    if text.len() as u64 > SIZE_LIMIT {
        return Err(cannot("it is larger than 1 MiB"));
    }
    Ok(Some(Text { path: path.to_owned(), text }))
}

/// Keeps the last value that was given, with where it was given.
fn layer<T>(slot: &mut Option<Setting<T>>, value: Option<T>, origin: &str) {
    if let Some(value) = value {
        *slot = Some(Setting { value, origin: origin.to_owned() });
    }
}

fn merge(host: &Host, user: Option<Text>, project: Option<Text>) -> Result<Settings> {
    let mut settings = Settings::defaults();
    for (name, variable) in list::ENDPOINT_VARIABLES {
        if let Some(value) = host.variable(variable) {
            settings.effective.set(name, value.into(), variable);
        }
    }
    if let Some(text) = user {
        let origin = text.origin();
        let table: toml::Table = text.parse()?;
        report::refuse_engine_as_text(&text.path, &table)?;
        let file: UserFile = text.parse()?;
        settings.effective.set_all("", &table, &origin);
        layer(&mut settings.engine, file.engine.r#use.clone(), &origin);
        settings.prefer(file.engine.prefer.clone(), &origin);
        settings.build(file.build.clone(), &origin);
        settings.images(file.spec.clone());
        settings.user = file;
        settings.files.push(text.path);
    }
    if let Some(text) = project {
        let origin = text.origin();
        let table: toml::Table = text.parse()?;
        report::refuse_engine_as_text(&text.path, &table)?;
        report::refuse_what_is_the_users(&text.path, &table, Settings::user_file(host).as_deref())?;
        let file: ProjectFile = text.parse()?;
        settings.effective.set_all("", &table, &origin);
        layer(&mut settings.engine, file.engine.r#use, &origin);
        settings.prefer(file.engine.prefer, &origin);
        settings.build(file.build.into(), &origin);
        settings.images(file.spec);
        settings.files.push(text.path);
    }
    if let Some(engine) = host.variable("BOXWRIGHT_ENGINE") {
        settings = settings.with_engine(engine, "BOXWRIGHT_ENGINE");
    }
    if let Some(builder) = host.variable("BOXWRIGHT_BUILDER") {
        settings = settings.with_builder(builder, "BOXWRIGHT_BUILDER");
    }
    Ok(settings)
}

impl Settings {
    fn defaults() -> Self {
        let preference: Vec<String> =
            list::PREFERENCE.iter().map(|&name| name.to_owned()).collect();
        let user = UserFile::default();
        let mut effective = Table::default();
        if let Ok(table) = toml::Table::try_from(&user) {
            effective.set_all("", &table, "default");
        }
        effective.set("engine.use", "auto".into(), "default");
        effective.set("engine.prefer", preference.clone().into(), "default");
        effective.set("build.pull", "missing".into(), "default");
        effective.set("build.progress", "auto".into(), "default");
        Self {
            user,
            engine: None,
            preference: Setting { value: preference, origin: "default".to_owned() },
            builder: None,
            platform: None,
            pull: None,
            progress: None,
            spec: SpecTable::default(),
            ca_bundle: None,
            files: Vec::new(),
            effective,
        }
    }

    fn prefer(&mut self, engines: Option<Vec<String>>, origin: &str) {
        if let Some(value) = engines {
            self.preference = Setting { value, origin: origin.to_owned() };
        }
    }

    fn images(&mut self, table: SpecTable) {
        let set = &mut self.spec;
        set.python_image = table.python_image.or(set.python_image.take());
        set.micromamba_image = table.micromamba_image.or(set.micromamba_image.take());
    }

    fn build(&mut self, table: BuildTable, origin: &str) {
        layer(&mut self.builder, table.builder, origin);
        layer(&mut self.platform, table.platform, origin);
        layer::<PullPolicy>(&mut self.pull, table.pull, origin);
        layer::<ProgressMode>(&mut self.progress, table.progress, origin);
        layer(&mut self.ca_bundle, table.ca_bundle, origin);
    }
}
