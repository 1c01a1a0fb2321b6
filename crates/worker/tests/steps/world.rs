//! A store with a base of busybox, and steps on it.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use boxwright_core::{Error, LayerRef, OutputStream, Step, StepId, StepLayer, StepOutcome};
use boxwright_image::manifest::digest_of;
use boxwright_image::tar::{Header, Kind, Writer};
use boxwright_worker::{Cancel, StepEvent, StepInput, WorkerStore, run_step};
use tempfile::TempDir;

const APPLETS: &[&str] = &[
    "cat", "chmod", "chown", "cp", "cut", "dd", "echo", "env", "false", "grep", "head", "hostname",
    "id", "ifconfig", "kill", "ln", "ls", "mkdir", "mkfifo", "mknod", "mount", "mv", "nc", "ps",
    "pwd", "readlink", "rm", "rmdir", "seq", "setsid", "sh", "sleep", "sort", "stat", "test",
    "touch", "true", "umount", "unshare", "wc", "yes",
];

/// A folder with a store.
pub(crate) struct World {
    pub(crate) place: TempDir,
    pub(crate) store: WorkerStore,
    pub(crate) base: LayerRef,
}

/// What a step came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) layer: Option<StepLayer>,
    pub(crate) warnings: Vec<String>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::in_folder(tempfile::tempdir().unwrap())
    }

    pub(crate) fn in_folder(place: TempDir) -> Self {
        std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let store = WorkerStore::open(&place.path().join("store")).unwrap();
        let base = add(&store, &base_tar());
        Self { place, store, base }
    }

    /// A shell script on the base.
    pub(crate) fn step(&self, script: &str) -> Step {
        let arguments = ["/bin/sh", "-c", script].map(ToOwned::to_owned).to_vec();
        let mut step = Step::new(StepId(0), arguments);
        step.rootfs = vec![self.base.clone()];
        step.environment.insert("PATH".to_owned(), "/bin".to_owned());
        step
    }

    /// A shell script on the base and what steps left on it.
    pub(crate) fn step_on(&self, layers: &[&StepLayer], script: &str) -> Step {
        let mut step = self.step(script);
        step.rootfs.extend(layers.iter().map(|layer| layer_ref(&layer.diff_id)));
        step
    }

    pub(crate) fn sh(&self, script: &str) -> Ran {
        self.run(self.step(script))
    }

    pub(crate) fn run(&self, step: Step) -> Ran {
        self.try_run(StepInput::new(step)).unwrap()
    }

    pub(crate) fn try_run(&self, input: StepInput) -> Result<Ran, Error> {
        let mut outputs: BTreeMap<bool, Vec<u8>> = BTreeMap::new();
        let mut warnings = Vec::new();
        let mut events = |event: StepEvent<'_>| match event {
            StepEvent::Output(stream, bytes) => {
                outputs.entry(stream == OutputStream::Stdout).or_default().extend(bytes);
            }
            StepEvent::Warning(text) => warnings.push(text.to_owned()),
        };
        let outcome = run_step(&self.store, input, &mut events, &Cancel::new().unwrap());
        self.is_clean();
        let StepOutcome { exit_code: code, layer, .. } = outcome?;
        let mut text = |stdout| {
            String::from_utf8_lossy(&outputs.remove(&stdout).unwrap_or_default()).into_owned()
        };
        Ok(Ran { code, out: text(true), err: text(false), layer, warnings })
    }

    /// Nothing of a step is left in the store or mounted.
    pub(crate) fn is_clean(&self) {
        let work = self.kind().join("work");
        assert_eq!(std::fs::read_dir(work).unwrap().count(), 0, "work folders are left");
        let mounts = std::fs::read_to_string("/proc/thread-self/mounts").unwrap();
        let inside = self.place.path().join("store").join(self.store.stacking());
        assert!(!mounts.contains(inside.to_str().unwrap()), "mounts are left");
    }

    pub(crate) fn kind(&self) -> PathBuf {
        self.place.path().join("store").join(self.store.stacking())
    }

    /// The entries of a layer that a step left, verified by its digest.
    pub(crate) fn layer(&self, layer: &StepLayer) -> Vec<Header> {
        let bytes = self.tar(layer);
        let mut reader = boxwright_image::unpack::Reader::new(&bytes[..], Default::default());
        std::iter::from_fn(|| reader.next_entry().unwrap()).collect()
    }

    pub(crate) fn tar(&self, layer: &StepLayer) -> Vec<u8> {
        let mut bytes = Vec::new();
        std::io::copy(&mut self.store.read_layer(&layer.diff_id).unwrap(), &mut bytes).unwrap();
        assert_eq!(digest_of(&bytes), layer.diff_id);
        assert_eq!(bytes.len() as u64, layer.size);
        bytes
    }

    /// The paths of a layer that a step left.
    pub(crate) fn paths(&self, ran: &Ran) -> Vec<String> {
        assert_eq!(ran.code, 0, "{ran:?}");
        let Some(layer) = &ran.layer else { return Vec::new() };
        self.layer(layer).iter().map(|entry| entry.path.to_str().unwrap().to_owned()).collect()
    }
}

/// Puts a layer into a store.
pub(crate) fn add(store: &WorkerStore, tar: &[u8]) -> LayerRef {
    let digest = digest_of(tar);
    store.unpack(&digest, &mut &tar[..]).unwrap();
    layer_ref(&digest)
}

pub(crate) fn layer_ref(diff_id: &boxwright_core::Digest) -> LayerRef {
    LayerRef { diff_id: diff_id.clone(), blob: diff_id.clone() }
}

pub(crate) fn tar(entries: &[(Header, &[u8])]) -> Vec<u8> {
    let mut tar = Writer::new(Vec::new());
    for (header, content) in entries {
        tar.file(header, &mut &content[..]).unwrap();
    }
    tar.finish().unwrap()
}

pub(crate) fn file(path: &str, content: &'static [u8]) -> (Header, &'static [u8]) {
    (Header::new(path, Kind::File { size: content.len() as u64 }, 0o644), content)
}

pub(crate) fn folder(path: &str, mode: u32) -> (Header, &'static [u8]) {
    (Header::new(path, Kind::Folder, mode), b"")
}

pub(crate) fn base_tar() -> Vec<u8> {
    let busybox = std::fs::read("/bin/busybox").expect("needs the package busybox-static");
    let mut program = Header::new("bin/busybox", Kind::File { size: busybox.len() as u64 }, 0o755);
    program.modified = (1_000_000_000, 0);
    let link = |name: &&str| {
        let kind = Kind::Symlink { target: "busybox".into() };
        (Header::new(format!("bin/{name}"), kind, 0o777), &b""[..])
    };
    let passwd = b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n";
    let mut note = file("data/note", b"lower");
    note.0.xattrs.insert("user.note".to_owned(), b"1".to_vec());
    let mut owned = file("data/owned", b"owned");
    (owned.0.uid, owned.0.gid) = (33, 44);
    let mut entries = vec![folder("bin", 0o755), (program, &busybox[..])];
    entries.extend(APPLETS.iter().map(link));
    entries.extend([
        folder("data", 0o755),
        note,
        owned,
        folder("data/full", 0o755),
        file("data/full/a", b"a"),
        file("data/full/b", b"b"),
        folder("etc", 0o755),
        file("etc/group", b"root:x:0:\nextra:x:50:app\napp:x:1001:\n"),
        file("etc/passwd", passwd),
        folder("tmp", 0o1777),
    ]);
    tar(&entries)
}

/// Gives this thread mounts of its own, and what it starts from now on.
#[expect(deprecated, reason = "no descriptor is unshared, which is what makes the call unsafe")]
pub(crate) fn own_mounts() {
    rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNS).unwrap();
    let flags =
        rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).unwrap();
}

/// This program, at a place where everyone may run it.
pub(crate) fn readable_program() -> &'static Path {
    static COPY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = COPY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let path = folder.path().join("steps");
        std::fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        (folder, path)
    });
    path
}
