//! Layers under their diff ids.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use boxwright_core::{Digest, Error, ErrorKind, Result};
use boxwright_image::overlay::unpack_layer;

use super::{About, WorkerStore};
use crate::failure::{on_path, system};

impl WorkerStore {
    /// Returns which of the layers are not there yet, each once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the store cannot be read.
    pub fn missing(&self, diff_ids: &[Digest]) -> Result<Vec<Digest>> {
        let mut missing = Vec::new();
        for diff_id in diff_ids {
            if !missing.contains(diff_id) && !self.has(diff_id)? {
                missing.push(diff_id.clone());
            }
        }
        Ok(missing)
    }

    /// Unpacks the uncompressed layer that `tar` gives, and keeps it if it has the digest `diff_id`. When the
    /// layer is there already, or another process is faster, that one stays. Of a layer that is there, nothing
    /// is read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] when it is broken or has another digest, [`ErrorKind::InvalidInput`] when an
    /// entry is hostile, [`ErrorKind::Exhausted`] when it exceeds a limit or the disk is full. Nothing of it is
    /// kept then.
    pub fn unpack(&self, diff_id: &Digest, tar: &mut dyn Read) -> Result<()> {
        if self.has(diff_id)? {
            return Ok(());
        }
        let work = self.work_folder()?;
        let layer = work.folder("layer")?;
        let files = work.folder("layer/fs")?;
        let unpacked = unpack_layer(tar, diff_id, &files, self.marks(), self.owners())?;
        About::unpacked(&unpacked).write(&layer)?;
        self.keep(&layer, diff_id)
    }

    /// Returns the layer that a step left, as the canonical tar with the digest `diff_id`. Its bytes are made
    /// while they are read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when no step left such a layer.
    pub fn read_layer(&self, diff_id: &Digest) -> Result<impl Read + Send + use<>> {
        let layer = self.layer(diff_id);
        if !self.has(diff_id)? || !About::read(&layer)?.canonical {
            let message = format!("cannot read the layer `{diff_id}`");
            return Err(Error::new(ErrorKind::NotFound, message)
                .with_cause("no step left it in the worker's store"));
        }
        let pipe = std::io::pipe().map_err(|error| system("cannot open a pipe", error));
        let (reader, writer) = pipe?;
        let (marks, owners) = (self.marks(), self.owners());
        let written = std::thread::spawn(move || -> Result<()> {
            let mut writer = std::io::BufWriter::with_capacity(256 << 10, writer);
            crate::canonical::write_tar(&layer, marks, owners, &mut writer)?;
            writer.flush().map_err(|error| system("cannot write the layer", error))
        });
        Ok(LayerReader { reader, written: Some(written) })
    }

    /// Keeps the finished folder `layer` under `diff_id`, unless another process was faster. One that is there and
    /// came from elsewhere is canonical from now on, if `layer` is: they have the same digest.
    pub(crate) fn keep(&self, layer: &Path, diff_id: &Digest) -> Result<()> {
        let place = self.layer(diff_id);
        match std::fs::rename(layer, &place) {
            Err(_) if self.has(diff_id)? => {
                let (own, known) = (About::read(layer)?, About::read(&place)?);
                if own.canonical && !known.canonical {
                    About::replace(layer, &place)
                } else {
                    Ok(())
                }
            }
            kept => kept.map_err(|error| on_path("cannot write to", &place, error)),
        }
    }

    pub(crate) fn has(&self, diff_id: &Digest) -> Result<bool> {
        let layer = self.layer(diff_id);
        layer.try_exists().map_err(|error| on_path("cannot read", &layer, error))
    }

    /// Returns where a layer is, or would be.
    pub(crate) fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.folder().join(layer_path(diff_id))
    }
}

/// Returns where a layer is below the store's folder: short, for mount options.
pub(crate) fn layer_path(diff_id: &Digest) -> PathBuf {
    let name = match diff_id.algorithm() {
        "sha256" => diff_id.hex().to_owned(),
        other => format!("{other}-{}", diff_id.hex()),
    };
    Path::new("layers").join(name)
}

/// Reads what a thread writes; the thread's error comes at the end.
struct LayerReader {
    reader: std::io::PipeReader,
    written: Option<std::thread::JoinHandle<Result<()>>>,
}

impl Read for LayerReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        if count == 0
            && !buffer.is_empty()
            && let Some(written) = self.written.take()
        {
            match written.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(std::io::Error::other(error)),
                Err(_) => {
                    let bug = Error::new(ErrorKind::Bug, "the writer of a layer ended early");
                    return Err(std::io::Error::other(bug));
                }
            }
        }
        Ok(count)
    }
}
