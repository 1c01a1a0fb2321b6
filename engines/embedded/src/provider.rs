//! Finds and opens the engine, which is always there.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use boxwright_core::{
    Detection, Engine, EngineInfo, EngineName, EngineProvider, Error, ErrorKind, Host, Instance,
    Result,
};
use boxwright_portable::local::place::{self, Place};
use boxwright_portable::{BUILDER, Store};

use crate::config::EmbeddedConfig;
use crate::engine::EmbeddedEngine;
use crate::worker::Worker;

/// The engine's name in settings and on the command line.
const NAME: EngineName = EngineName::new("embedded");

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Finds and opens the engine, which is always there.
#[derive(Debug, Default)]
pub struct EmbeddedProvider {
    config: EmbeddedConfig,
}

impl EmbeddedProvider {
    /// Returns a provider with these settings.
    #[must_use]
    pub fn new(config: EmbeddedConfig) -> Self {
        Self { config }
    }
}

#[async_trait]
impl EngineProvider for EmbeddedProvider {
    fn name(&self) -> EngineName {
        NAME
    }

    async fn detect(&self, host: &Host) -> Vec<Detection> {
        let unusable = |place: String, error| vec![Detection::Unusable { place, error }];
        let Place { folder, source } = match place::place(host, self.config.store.as_deref()) {
            Ok(place) => place,
            Err(error) => return unusable("the user's data folder".to_owned(), error),
        };
        let shown = folder.display().to_string();
        if let Err(error) = place::check(&folder) {
            return unusable(shown, error.with_context("set by", source));
        }
        let mut instance = Instance::new(NAME, shown, source, VERSION);
        instance.rootless = Some(is_rootless(host));
        instance.builders = vec![BUILDER.to_owned()];
        vec![Detection::Ready(instance)]
    }

    async fn open(
        &self,
        host: &Host,
        instance: &Instance,
        builder: Option<&str>,
    ) -> Result<Arc<dyn Engine>> {
        if let Some(builder) = builder.filter(|builder| *builder != BUILDER) {
            let message = format!("the embedded engine has no builder `{builder}`");
            return Err(Error::new(ErrorKind::InvalidInput, message)
                .with_remedy(format!("use `{BUILDER}`")));
        }
        let store = Store::open(&instance.endpoint)?;
        let mut info = EngineInfo::new(NAME, VERSION, &instance.endpoint, BUILDER);
        info.rootless = Some(is_rootless(host));
        let named = self.config.worker.as_deref().map(Path::new);
        let worker = Worker::find_out(host, Path::new(&instance.endpoint), named).await?;
        Ok(Arc::new(EmbeddedEngine::new(store, info, worker)))
    }
}

fn is_rootless(host: &Host) -> bool {
    host.user_id() != 0
}
