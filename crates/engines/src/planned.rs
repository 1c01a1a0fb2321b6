//! Engines that this version does not drive yet: always absent, with that reason.

use std::sync::Arc;

use boxwright_core::{
    Detection, Engine, EngineName, EngineProvider, Error, ErrorKind, Host, Instance, Result,
    async_trait,
};

/// The provider of an engine that is planned, so that whoever looks for it learns why it is not there.
#[derive(Debug)]
pub(crate) struct Planned {
    name: EngineName,
}

impl Planned {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name: EngineName::new(name) }
    }

    fn reason(&self) -> String {
        format!("this version of Boxwright does not drive {} yet", self.name)
    }
}

#[async_trait]
impl EngineProvider for Planned {
    fn name(&self) -> EngineName {
        self.name.clone()
    }

    async fn detect(&self, _host: &Host) -> Vec<Detection> {
        vec![Detection::Absent { place: self.reason() }]
    }

    async fn open(
        &self,
        _host: &Host,
        _instance: &Instance,
        _builder: Option<&str>,
    ) -> Result<Arc<dyn Engine>> {
        Err(Error::new(ErrorKind::Unsupported, format!("cannot open the engine `{}`", self.name))
            .with_cause(self.reason())
            .with_remedy("choose another one with `--engine`; `boxwright engines` lists them"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_planned_engine_is_absent_and_says_why() {
        let planned = Planned::new("lxd");
        let host = Host::with_variables("/", [("PATH", "/bin")]);
        let found = planned.detect(&host).await;
        let [Detection::Absent { place }] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(place, "this version of Boxwright does not drive lxd yet");
        let instance = Instance::new(planned.name(), "", "", "");
        let error = planned.open(&host, &instance, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
