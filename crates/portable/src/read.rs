//! Reads files of a context in a thread of its own, while what was read is written by another.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use boxwright_context::Opener;
use boxwright_core::{Digest, Error, ErrorKind, Result};
use sha2::{Digest as _, Sha256};

use crate::facts::{Fact, Facts};
use crate::files::{Files, Origin};

/// How much is read at once. Smaller files are one piece.
const PIECE: usize = 256 << 10;
/// How many pieces wait to be written.
const WAITING: usize = 16;

/// A file, as far as it was read. A file of several pieces goes on in the next.
struct Piece {
    bytes: Vec<u8>,
    /// The first piece of a file has its attributes.
    xattrs: BTreeMap<String, Vec<u8>>,
    /// The last piece has the digest of the whole.
    digest: Option<Digest>,
}

/// Reads all of `paths` in their order, while `work` takes them in the same order.
pub(crate) fn ahead<T>(
    paths: Vec<PathBuf>,
    files: &Files,
    work: impl FnOnce(&mut Ahead<'_>) -> Result<T>,
) -> Result<T> {
    let Origin::Context(context, facts) = &files.origin else {
        return work(&mut Ahead { pieces: None, facts: None });
    };
    let (sender, receiver) = sync_channel(WAITING);
    let opener = context.opener();
    thread::scope(|scope| {
        // The sender goes along, so that its end is the end of what is sent.
        scope.spawn(move || read_to(&sender, opener, &paths, files, facts));
        work(&mut Ahead { pieces: Some(receiver), facts: Some(facts) })
    })
}

/// Reads files that nobody needs but for their digests.
pub(crate) fn read_all(paths: &[PathBuf], files: &Files) -> Result<()> {
    let Origin::Context(context, facts) = &files.origin else { return Ok(()) };
    let mut opener = context.opener();
    for path in paths {
        read_one(&mut opener, path, files, facts, &mut |_| Ok(()))?;
    }
    Ok(())
}

fn read_to(
    sender: &SyncSender<Result<Piece>>,
    mut opener: Opener,
    paths: &[PathBuf],
    files: &Files,
    facts: &Facts,
) {
    for path in paths {
        let mut send = |piece| sender.send(Ok(piece)).map_err(|_| ended());
        if let Err(error) = read_one(&mut opener, path, files, facts, &mut send) {
            // Nobody may be there any more to hear of it.
            let _ = sender.send(Err(error));
            return;
        }
    }
}

/// Reads one file, and notes what was found out.
fn read_one(
    opener: &mut Opener,
    path: &Path,
    files: &Files,
    facts: &Facts,
    send: &mut dyn FnMut(Piece) -> Result<()>,
) -> Result<()> {
    let entry = files.entry(path).ok_or_else(ended)?;
    let mut file = opener.open(entry)?;
    let xattrs: BTreeMap<_, _> = file.xattrs()?.into_iter().collect();
    let mut hasher = Sha256::new();
    let mut first = Some(xattrs.clone());
    let mut left = entry.stamp.size;
    loop {
        // One byte more than is left shows a file that grows.
        let most = left.saturating_add(1).min(PIECE as u64);
        let mut bytes = Vec::with_capacity(usize::try_from(most).unwrap_or(PIECE));
        let read = (&mut file).take(most).read_to_end(&mut bytes);
        read.map_err(|error| file.read_error(error))?;
        hasher.update(&bytes);
        if bytes.len() as u64 > left {
            let grew = io::Error::new(io::ErrorKind::InvalidData, "it grew while it was read");
            return Err(file.read_error(grew));
        }
        let is_last = (bytes.len() as u64) < most;
        left -= bytes.len() as u64;
        let mut piece = Piece { bytes, xattrs: first.take().unwrap_or_default(), digest: None };
        if !is_last {
            send(piece)?;
            continue;
        }
        file.require_unchanged()?;
        let digest = Digest::from_sha256(hasher.finalize().into());
        piece.digest = Some(digest.clone());
        send(piece)?;
        facts.learn(entry, &Fact { xattrs, digest: Some(digest) });
        return Ok(());
    }
}

/// Files that are read in another thread.
pub(crate) struct Ahead<'f> {
    pieces: Option<Receiver<Result<Piece>>>,
    facts: Option<&'f Facts>,
}

impl Ahead<'_> {
    /// Returns the next file, which is `path`.
    pub(crate) fn next(&mut self, path: &Path) -> Result<Content<'_>> {
        let pieces = self.pieces.as_ref().ok_or_else(|| {
            let message = format!("`{}` is no file of a context", path.display());
            Error::new(ErrorKind::Bug, message)
        })?;
        let piece = pieces.recv().unwrap_or_else(|_| Err(ended()))?;
        Ok(Content { pieces, piece, position: 0 })
    }

    /// Forgets what earlier builds found out of the files.
    pub(crate) fn forget(&self) {
        if let Some(facts) = self.facts {
            facts.forget();
        }
    }
}

/// The content of one file.
pub(crate) struct Content<'a> {
    pieces: &'a Receiver<Result<Piece>>,
    piece: Piece,
    position: usize,
}

impl Content<'_> {
    /// Takes the extended attributes.
    pub(crate) fn xattrs(&mut self) -> BTreeMap<String, Vec<u8>> {
        std::mem::take(&mut self.piece.xattrs)
    }

    /// Returns the digest of a file that was read to its end.
    pub(crate) fn finish(mut self) -> Result<Digest> {
        io::copy(&mut self, &mut io::sink()).map_err(boxwright_image::read_error)?;
        self.piece.digest.ok_or_else(ended)
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.piece.bytes.len() && self.piece.digest.is_none() {
            let piece = self.pieces.recv().unwrap_or_else(|_| Err(ended()));
            (self.piece, self.position) = (piece.map_err(io::Error::other)?, 0);
        }
        let rest = &self.piece.bytes[self.position..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.position += count;
        Ok(count)
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Bug, "the thread that reads files has ended")
}
