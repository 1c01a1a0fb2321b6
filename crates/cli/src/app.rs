//! What every command works with: the machine, the console, the settings, and the engine they choose.

use std::sync::{Arc, OnceLock};

use boxwright_core::{
    CancellationToken, Catalog, Engine, EngineInfo, Error, EventSink, Host, ImageRef, Result,
    Selection, Session,
};
use boxwright_engines::Settings;
use boxwright_engines::settings::ProgressMode;
use boxwright_registry::{Client, Retries, StoredCredentials};

use crate::MakeCatalog;
use crate::args::{EngineArgs, ProgressArgs};
use crate::exit_code::Failure;
use crate::render::Console;
use crate::render::progress::Progress;

/// What every command works with.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) host: Host,
    pub(crate) console: Console,
    pub(crate) cancel: CancellationToken,
    make_catalog: MakeCatalog,
    engine: OnceLock<EngineInfo>,
}

/// An engine that was chosen and opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) selection: Selection,
}

impl App {
    pub(crate) fn new(host: Host, console: Console, make_catalog: MakeCatalog) -> Self {
        let cancel = CancellationToken::new();
        Self { host, console, cancel, make_catalog, engine: OnceLock::new() }
    }

    /// Returns which engine was opened, for errors.
    pub(crate) fn engine(&self) -> Option<&EngineInfo> {
        self.engine.get()
    }

    /// Reads the settings, and puts the flags above them.
    pub(crate) fn settings(&self, flags: &EngineArgs) -> Result<Settings> {
        let mut settings = Settings::load(&self.host)?;
        if let Some(engine) = &flags.engine {
            settings = settings.with_engine(engine, "--engine");
            if let Some(endpoint) = &flags.endpoint {
                settings = settings.with_endpoint(engine, endpoint, "--endpoint")?;
            }
        }
        Ok(settings)
    }

    pub(crate) fn catalog(&self, settings: &Settings) -> Result<Catalog> {
        (self.make_catalog)(settings)
    }

    /// Chooses an engine and opens it.
    pub(crate) async fn open(
        &self,
        settings: &Settings,
        builder: Option<&str>,
    ) -> Result<Opened, Failure> {
        let (catalog, selection) = self.choose(settings).await?;
        let opening = catalog.open(&selection.instance, builder, &self.host);
        let engine = self.interruptible(opening).await?;
        // It is set once: a command opens one engine.
        let _ = self.engine.set(engine.info().clone());
        Ok(Opened { engine, selection })
    }

    /// Chooses an engine, and opens none.
    pub(crate) async fn choose(
        &self,
        settings: &Settings,
    ) -> Result<(Catalog, Selection), Failure> {
        let catalog = self.catalog(settings)?;
        let choices = settings.choices();
        let selection = self.interruptible(catalog.choose(&choices, &self.host)).await?;
        for sentence in &selection.passed_over {
            self.console.warn(sentence);
        }
        Ok((catalog, selection))
    }

    pub(crate) async fn interruptible<T>(
        &self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Session::cancelled().into()),
            result = work => result.map_err(Failure::no_engine),
        }
    }

    /// Returns a session with the user's credentials, for `image` where one registry is meant.
    pub(crate) fn session(&self, settings: &Settings, image: Option<&ImageRef>) -> Result<Session> {
        let mut credentials = StoredCredentials::open(&self.host)?;
        if let Some(image) = image {
            credentials = credentials.for_image(image);
        }
        for warning in credentials.take_warnings() {
            self.console.warn(&warning);
        }
        let mut session = Session::new(self.host.clone());
        session.credentials = Arc::new(credentials);
        session.registries = Arc::new(settings.registries());
        session.cancel = self.cancel.clone();
        Ok(session)
    }

    /// Starts to show progress as flags and settings say.
    pub(crate) fn progress(
        &self,
        flags: &ProgressArgs,
        settings: &Settings,
    ) -> (EventSink, Progress) {
        let set = settings.progress().map(|it| it.value);
        let mode = flags.progress.map(ProgressMode::from).or(set).unwrap_or_default();
        Progress::start(self.console, &self.host, mode, flags.quiet, self.cancel.clone())
    }

    /// Returns `client` with the patience for a question that the user waits for, and with that it is waited for shown.
    pub(crate) fn asking(
        &self,
        client: Client,
        flags: &ProgressArgs,
        settings: &Settings,
    ) -> (Client, Progress) {
        let (sink, progress) = self.progress(flags, settings);
        (client.with_retries(Retries::for_questions()).with_events(sink), progress)
    }
}

/// Parses a value, such as an image's name.
pub(crate) fn parse<T: std::str::FromStr<Err = Error>>(text: &str) -> Result<T> {
    text.parse()
}
