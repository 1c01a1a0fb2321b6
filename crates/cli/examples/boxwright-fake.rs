//! The program with the fake engine in place of real ones, for the tests of the command line.
//!
//! `FAKE_CONTEXT` names a folder that is built and named `acme/app:1` before anything else, so that there
//! is an image to work with: the fake engine's store ends with the process. `FAKE_DEFECT=ignores-cancel`
//! makes an engine that does not stop when it is asked to.

use std::process::ExitCode;
use std::sync::Arc;

use boxwright_core::{
    BuildRequest, Catalog, ContextSource, Detection, Engine, EngineName, EngineProvider, Host,
    Instance, Result, Session, async_trait,
};
use boxwright_engines::Settings;
use boxwright_testkit::{Defect, FakeEngine, FakeProvider};

fn main() -> ExitCode {
    boxwright_cli::main(std::env::args_os(), Host::system(), catalog)
}

fn catalog(_: &Settings) -> Result<Catalog> {
    let defect = Host::system().variable("FAKE_DEFECT") == Some("ignores-cancel");
    let defects = if defect { vec![Defect::IgnoresCancel] } else { Vec::new() };
    let engine = FakeEngine::with_defects(defects)?;
    Ok(Catalog::new(vec![Arc::new(Filled(FakeProvider::new(engine)))]))
}

/// A fake engine that has an image.
#[derive(Debug)]
struct Filled(FakeProvider);

#[async_trait]
impl EngineProvider for Filled {
    fn name(&self) -> EngineName {
        self.0.name()
    }

    async fn detect(&self, host: &Host) -> Vec<Detection> {
        self.0.detect(host).await
    }

    async fn open(
        &self,
        host: &Host,
        instance: &Instance,
        builder: Option<&str>,
    ) -> Result<Arc<dyn Engine>> {
        let engine = self.0.open(host, instance, builder).await?;
        if let Some(folder) = host.path_variable("FAKE_CONTEXT") {
            let mut request = BuildRequest::new(ContextSource::Folder(folder));
            request.tags = vec!["acme/app:1".parse()?];
            engine.build(&request, &Session::new(host.clone())).await?;
        }
        Ok(engine)
    }
}
