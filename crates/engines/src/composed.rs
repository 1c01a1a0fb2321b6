//! An engine's provider, with the portable builder added to what it opens.

use std::path::PathBuf;
use std::sync::Arc;

use boxwright_core::{
    Detection, Engine, EngineName, EngineProvider, Error, ErrorKind, Host, Instance, Result,
    async_trait, nearest,
};
use boxwright_portable::local::place;
use boxwright_portable::{BUILDER, Portable, Way};

/// The word for choosing between an engine's own builder and the portable one for each build.
const AUTO: &str = "auto";
/// The word for an engine's own builder, whatever that is called.
const NATIVE: &str = "native";

/// A provider whose engines have the portable builder beside their own.
#[derive(Debug)]
pub(crate) struct Composed {
    inner: Arc<dyn EngineProvider>,
    /// The folder of Boxwright's own store, if the settings name one.
    store: Option<String>,
}

impl Composed {
    /// Adds the portable builder to what `inner` opens.
    pub(crate) fn new(inner: Arc<dyn EngineProvider>, store: Option<String>) -> Self {
        Self { inner, store }
    }

    fn folder(&self, host: &Host) -> Result<PathBuf> {
        place::place(host, self.store.as_deref()).map(|place| place.folder)
    }

    /// Returns the way that `builder` means, and the builder of the engine's own that it names.
    fn way<'b>(
        &self,
        instance: &Instance,
        builder: Option<&'b str>,
    ) -> Result<(Way, Option<&'b str>)> {
        Ok(match builder {
            None | Some(AUTO) => (Way::Auto, None),
            Some(BUILDER) => (Way::Portable, None),
            Some(NATIVE) => (Way::Native, None),
            Some(named) if instance.builders.iter().any(|own| own == named) => {
                (Way::Native, Some(named))
            }
            Some(unknown) => return Err(self.unknown(instance, unknown)),
        })
    }

    fn unknown(&self, instance: &Instance, name: &str) -> Error {
        let own = instance.builders.iter().map(String::as_str);
        let known: Vec<&str> = [AUTO, NATIVE].into_iter().chain(own).collect();
        let message = format!("{} has no builder `{name}` here", self.inner.name());
        let error = Error::new(ErrorKind::InvalidInput, message);
        match nearest(name, &known) {
            Some(near) => error.with_remedy(format!("use `{near}`")),
            None => error.with_remedy(format!("use one of {}", known.join(", "))),
        }
    }
}

#[async_trait]
impl EngineProvider for Composed {
    fn name(&self) -> EngineName {
        self.inner.name()
    }

    async fn detect(&self, host: &Host) -> Vec<Detection> {
        let mut found = self.inner.detect(host).await;
        for detection in &mut found {
            if let Detection::Ready(instance) = detection {
                instance.builders.push(BUILDER.to_owned());
            }
        }
        found
    }

    async fn open(
        &self,
        host: &Host,
        instance: &Instance,
        builder: Option<&str>,
    ) -> Result<Arc<dyn Engine>> {
        let (way, own) = self.way(instance, builder)?;
        let engine = self.inner.open(host, instance, own).await?;
        Ok(Arc::new(Portable::new(engine, way, self.folder(host))))
    }
}
