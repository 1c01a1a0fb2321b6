//! Client and worker over a stream in memory, with steps that are scripted: what real ones do wrong too rarely.

mod events;
mod layers;
mod trouble;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use boxwright_core::{Digest, Host, LayerRef, Result, Session, Step, StepId, StepOutcome};
use boxwright_image::layout::Layout;
use sha2::Digest as _;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::serve::{ServeSettings, Steps, serve};
use crate::{Cancel, DefaultNetwork, StepEvent, StepInput, WorkerClient};

type Behaviour =
    dyn Fn(StepInput, &mut dyn FnMut(StepEvent<'_>), &Cancel) -> Result<StepOutcome> + Send + Sync;

/// Layers in memory, and steps that do what a test says.
#[derive(Clone)]
struct Script(Arc<Scripted>);

struct Scripted {
    layers: Mutex<BTreeMap<Digest, Vec<u8>>>,
    unpacked: AtomicUsize,
    behaviour: Box<Behaviour>,
}

impl Script {
    fn new(
        behaviour: impl Fn(StepInput, &mut dyn FnMut(StepEvent<'_>), &Cancel) -> Result<StepOutcome>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let (layers, unpacked) = (Mutex::default(), AtomicUsize::new(0));
        Self(Arc::new(Scripted { layers, unpacked, behaviour: Box::new(behaviour) }))
    }

    fn keep(&self, bytes: &[u8]) -> Digest {
        let digest = digest_of(bytes);
        self.0.layers.lock().unwrap().insert(digest.clone(), bytes.to_vec());
        digest
    }
}

impl Steps for Script {
    fn stacking(&self) -> &'static str {
        "scripted"
    }

    fn has_owners(&self) -> bool {
        true
    }

    fn missing(&self, diff_ids: &[Digest]) -> Result<Vec<Digest>> {
        let layers = self.0.layers.lock().unwrap();
        Ok(diff_ids.iter().filter(|diff_id| !layers.contains_key(*diff_id)).cloned().collect())
    }

    fn unpack(&self, diff_id: &Digest, tar: &mut dyn Read) -> Result<()> {
        let mut bytes = Vec::new();
        tar.read_to_end(&mut bytes).map_err(boxwright_image::read_error)?;
        self.0.unpacked.fetch_add(1, Ordering::Relaxed);
        if self.keep(&bytes) == *diff_id {
            return Ok(());
        }
        Err(boxwright_core::Error::new(boxwright_core::ErrorKind::Protocol, "another digest"))
    }

    fn read_layer(&self, diff_id: &Digest) -> Result<Box<dyn Read + Send>> {
        let layers = self.0.layers.lock().unwrap();
        Ok(Box::new(std::io::Cursor::new(layers[diff_id].clone())))
    }

    fn run(
        &self,
        input: StepInput,
        events: &mut dyn FnMut(StepEvent<'_>),
        cancel: &Cancel,
    ) -> Result<StepOutcome> {
        (self.0.behaviour)(input, events, cancel)
    }
}

/// A client and its worker in one process.
struct Pair {
    client: WorkerClient,
    worker: JoinHandle<Result<()>>,
    blobs: Layout,
    folder: TempDir,
}

async fn pair(script: Script) -> Pair {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Layout::open(folder.path().join("blobs")).unwrap();
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let settings = ServeSettings {
        default_network: DefaultNetwork::Worker,
        sockets: folder.path().to_owned(),
    };
    let worker = tokio::spawn(serve(theirs, script, settings));
    let client = WorkerClient::connect(ours).await.unwrap();
    Pair { client, worker, blobs, folder }
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_sha256(sha2::Sha256::digest(bytes).into())
}

fn layer(diff_id: &Digest, blob: &Digest) -> LayerRef {
    LayerRef { diff_id: diff_id.clone(), blob: blob.clone() }
}

fn step() -> Step {
    Step::new(StepId(3), vec!["true".into()])
}

fn session() -> Session {
    Session::new(Host::with_variables("/", [("A", "b")]))
}
