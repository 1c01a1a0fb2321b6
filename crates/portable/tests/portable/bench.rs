//! A context and a store for one test, and what comes out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use boxwright_core::{
    BuildOutput, BuildRequest, ContextSource, Event, EventSink, Host, Manifest, Result, Secret,
    Session, StepResult, StepRunner,
};
use boxwright_image::config::ImageConfig;
use boxwright_image::view::Tree;
use boxwright_portable::{Builder, Store};
use boxwright_testkit::ContextFolder;

const EPOCH: &str = "1700000000";

/// A context, and a store that is as empty as the context is new.
pub(crate) struct Bench {
    pub(crate) context: ContextFolder,
    pub(crate) store: Store,
    _folder: ContextFolder,
}

pub(crate) struct Built {
    pub(crate) output: BuildOutput,
    pub(crate) manifest: Manifest,
    pub(crate) config: ImageConfig,
    pub(crate) tree: Tree,
    pub(crate) events: Vec<Event>,
}

impl Bench {
    pub(crate) fn new(dockerfile: &str) -> Self {
        let folder = ContextFolder::new().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let context = ContextFolder::with_dockerfile(dockerfile).unwrap();
        Self { context, store, _folder: folder }
    }

    pub(crate) fn file(self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Self {
        Self { context: self.context.file(path, mode, content).unwrap(), ..self }
    }

    pub(crate) fn request(&self) -> BuildRequest {
        let mut request = BuildRequest::new(ContextSource::Folder(self.context.path().to_owned()));
        request.build_args.insert("SOURCE_DATE_EPOCH".into(), EPOCH.into());
        request
    }

    pub(crate) async fn build(&self) -> Result<Built> {
        self.build_by(&self.request()).await
    }

    pub(crate) async fn build_by(&self, request: &BuildRequest) -> Result<Built> {
        self.build_with(request, &[], None).await.0
    }

    /// Builds with secrets and a runner. Returns the events also when the build fails.
    pub(crate) async fn build_with(
        &self,
        request: &BuildRequest,
        secrets: &[(&str, &str)],
        runner: Option<&dyn StepRunner>,
    ) -> (Result<Built>, Vec<Event>) {
        let mut request = request.clone();
        let secrets = secrets.iter().map(|(id, value)| ((*id).to_owned(), Secret::from(*value)));
        let secrets: BTreeMap<String, Secret> = secrets.collect();
        request.secrets = secrets.keys().cloned().collect();
        let mut session = Session::new(Host::with_variables::<String, String>("/", []));
        let agents = request.ssh.iter().map(|id| (id.clone(), "/agent".into()));
        session.ssh_agents = Arc::new(agents.collect());
        session.secrets = Arc::new(secrets);
        let (sink, mut receiver) = EventSink::channel();
        session.events = sink;
        let builder = Builder::new(self.store.clone());
        let builder = match runner {
            Some(runner) => builder.with_steps(runner),
            None => builder,
        };
        let build = async move { builder.build(&request, &session).await };
        let listen = async {
            let mut events = Vec::new();
            while let Some(event) = receiver.recv().await {
                events.push(event);
            }
            events
        };
        let (output, events) = tokio::join!(build, listen);
        let built = match output {
            Ok(output) => self.look(output, events.clone()).await,
            Err(error) => Err(error),
        };
        (built, events)
    }

    async fn look(&self, output: BuildOutput, events: Vec<Event>) -> Result<Built> {
        let layout = self.store.layout();
        let manifest = self.store.built(&output.id).await?.unwrap();
        let config = layout.config(&manifest).await?;
        let tree = Tree::from_layers(layout, &manifest).await?;
        Ok(Built { output, manifest, config, tree, events })
    }

    pub(crate) async fn read(&self, built: &Built, path: &str) -> String {
        let layout = self.store.layout();
        let bytes = built.tree.read_file(layout, &built.manifest, path, 1 << 20).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }
}

impl Built {
    /// Path, mode and owner of everything.
    pub(crate) fn listing(&self) -> Vec<String> {
        let line = |(path, node): (&Path, &boxwright_image::view::Node)| {
            let slash = if node.is_folder() { "/" } else { "" };
            format!("{}{slash} {:o} {}:{}", path.display(), node.mode, node.uid, node.gid)
        };
        self.tree.iter().map(line).collect()
    }

    pub(crate) fn cached(&self) -> usize {
        let is_cached = |event: &&Event| {
            matches!(event, Event::StepFinished { result: StepResult::Cached, .. })
        };
        self.events.iter().filter(is_cached).count()
    }
}
