//! Sends the daemon the files it lacks: the `moby.filesync.v1.FileSync` service, protocol `diffcopy`.
//!
//! We list what there is; the daemon compares with what it kept of the last build of this folder, and
//! asks for the content of what is new. Source: fsutil, `send.go` and `receive.go`.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSync;
use boxwright_core::{Error, Result, async_trait};
use futures_util::Stream;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::failures::Noted;
use super::folders::{Content, Folders, Listed};

/// How much of a file goes into one packet, in bytes: as much as BuildKit's own client sends.
const CHUNK: usize = 32 << 10;
/// How many files are read at the same time.
const READERS: usize = 4;

type Outgoing = mpsc::Sender<Result<Packet, Status>>;

/// Serves the folders of one build.
#[derive(Debug)]
pub(super) struct FilesService {
    pub(super) folders: Arc<Folders>,
    pub(super) noted: Noted,
}

#[async_trait]
impl FileSync for FilesService {
    type DiffCopyStream = Pin<Box<dyn Stream<Item = Result<Packet, Status>> + Send>>;
    type TarStreamStream = Self::DiffCopyStream;

    async fn diff_copy(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let metadata = request.metadata();
        let name = values(metadata, "dir-name").pop().unwrap_or_default();
        let mut wanted = values(metadata, "include-patterns");
        wanted.extend(values(metadata, "followpaths"));
        // The daemon's exclude patterns are those of our own ignore file, which listing obeys already.
        let listing = self
            .folders
            .listing(&name, wanted)
            .ok_or_else(|| Status::not_found(format!("no access allowed to dir {name:?}")))?;
        let (sender, receiver) = mpsc::channel(64);
        let sending =
            Sending { outgoing: sender, listed: Arc::default(), noted: self.noted.clone() };
        let lister = sending.clone();
        tokio::task::spawn_blocking(move || lister.list(listing));
        tokio::spawn(sending.answer(request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn tar_stream(
        &self,
        _request: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("files are sent by diffcopy"))
    }
}

/// Returns all values of `name`, undoing the escapes that newer daemons announce beside it.
fn values(metadata: &MetadataMap, name: &str) -> Vec<String> {
    let encoded = metadata.get(format!("{name}-encoded")).is_some_and(|value| value == "1");
    let texts = metadata.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    texts.map(|text| if encoded { unescape(text) } else { text.to_owned() }).collect()
}

/// Undoes Go's `url.QueryEscape`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let byte = digits.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            (other, _) => {
                bytes.push(other);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One transfer.
#[derive(Clone, Debug)]
struct Sending {
    outgoing: Outgoing,
    /// What was listed, by the number that the daemon asks for it with.
    listed: Arc<Mutex<Vec<Option<Content>>>>,
    noted: Noted,
}

impl Sending {
    /// Sends one packet for each thing that is listed, then an empty one.
    fn list(self, listing: impl Iterator<Item = Result<Listed>>) {
        for listed in listing {
            match listed {
                Ok(Listed { stat, content }) => {
                    // Its number is its place, and the daemon may ask as soon as it has the packet.
                    self.lock().push(content);
                    let packet =
                        packet_of(PacketType::PacketStat, |packet| packet.stat = Some(stat));
                    if self.outgoing.blocking_send(Ok(packet)).is_err() {
                        return;
                    }
                }
                Err(error) => return self.fail(error),
            }
        }
        // A reader that left needs no end.
        let _ = self.outgoing.blocking_send(Ok(packet_of(PacketType::PacketStat, |_| {})));
    }

    /// Answers what the daemon asks for until it has everything.
    async fn answer(self, mut incoming: Streaming<Packet>) {
        let (asked, wanted) = mpsc::unbounded_channel();
        tokio::spawn(self.clone().send_all(wanted));
        while let Ok(Some(packet)) = incoming.message().await {
            match packet.r#type() {
                PacketType::PacketReq => {
                    let place = usize::try_from(packet.id).unwrap_or(usize::MAX);
                    let content = self.lock().get_mut(place).and_then(Option::take);
                    let Some(content) = content else {
                        let status = Status::invalid_argument(format!("invalid file id {place}"));
                        let _ = self.outgoing.send(Err(status)).await;
                        return;
                    };
                    // Requests are taken as fast as they come, each file once: small frames that wait unread
                    // make the HTTP/2 library close the connection.
                    if asked.send((packet.id, content)).is_err() {
                        return;
                    }
                }
                PacketType::PacketFin => {
                    let _ = self.outgoing.send(Ok(packet_of(PacketType::PacketFin, |_| {}))).await;
                    return;
                }
                PacketType::PacketStat | PacketType::PacketData | PacketType::PacketErr => return,
            }
        }
    }

    /// Sends the files that were asked for, a few at a time.
    async fn send_all(self, mut wanted: mpsc::UnboundedReceiver<(u32, Content)>) {
        let readers = Arc::new(Semaphore::new(READERS));
        while let Some((id, content)) = wanted.recv().await {
            // The semaphore is never closed.
            let Ok(permit) = readers.clone().acquire_owned().await else { return };
            let sending = self.clone();
            tokio::task::spawn_blocking(move || {
                sending.send(id, content);
                drop(permit);
            });
        }
    }

    /// Sends the content of one file, then an empty packet.
    fn send(&self, id: u32, content: Content) {
        let mut reader = match content.open() {
            Ok(reader) => reader,
            Err(error) => return self.fail(error),
        };
        loop {
            let mut data = vec![0; CHUNK];
            match reader.read(&mut data) {
                Ok(count) => {
                    data.truncate(count);
                    let packet = packet_of(PacketType::PacketData, |packet| {
                        packet.id = id;
                        packet.data = data;
                    });
                    if self.outgoing.blocking_send(Ok(packet)).is_err() || count == 0 {
                        return;
                    }
                }
                Err(error) => return self.fail(content_changed(&content, error)),
            }
        }
    }

    fn fail(&self, error: Error) {
        let packet =
            packet_of(PacketType::PacketErr, |packet| packet.data = error.to_string().into());
        let _ = self.outgoing.blocking_send(Ok(packet));
        let _ = self.outgoing.blocking_send(Err(self.noted.note(error)));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Option<Content>>> {
        self.listed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn content_changed(content: &Content, error: std::io::Error) -> Error {
    let message = format!("cannot read `{}` of the context", content.path());
    Error::new(boxwright_core::ErrorKind::InvalidInput, message).with_source(error)
}

fn packet_of(kind: PacketType, fill: impl FnOnce(&mut Packet)) -> Packet {
    let mut packet = Packet { r#type: kind.into(), ..Packet::default() };
    fill(&mut packet);
    packet
}

/// Returns what the daemon is told of a regular file with these facts.
pub(super) fn file_stat(path: &str, mode: u32, size: u64, modified: i64) -> Stat {
    Stat {
        path: path.to_owned(),
        mode,
        size: i64::try_from(size).unwrap_or(i64::MAX),
        mod_time: modified,
        ..Stat::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_only_where_they_are_announced() {
        let mut metadata = MetadataMap::new();
        metadata.append("followpaths", "a%20b%2Bc+d%zz".parse().unwrap());
        assert_eq!(values(&metadata, "followpaths"), ["a%20b%2Bc+d%zz"]);
        metadata.append("followpaths-encoded", "1".parse().unwrap());
        assert_eq!(values(&metadata, "followpaths"), ["a b+c d%zz"]);
    }
}
