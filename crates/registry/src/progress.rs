//! How far a transfer is, reported while it goes on.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use boxwright_core::{ByteStream, Descriptor, Event, EventSink};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{MissedTickBehavior, interval};

/// How often progress is reported.
const PERIOD: Duration = Duration::from_millis(200);

/// How many bytes have passed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns the stream, counted.
    pub(crate) fn count(&self, bytes: ByteStream) -> ByteStream {
        Box::new(Counted { bytes, counter: self.clone() })
    }
}

struct Counted {
    bytes: ByteStream,
    counter: Counter,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.bytes).poll_read(cx, buffer);
        self.counter.add((buffer.filled().len() - before) as u64);
        read
    }
}

/// Reports the transfers of one operation.
#[derive(Clone, Debug)]
pub(crate) struct Reporter<'a> {
    pub(crate) events: &'a EventSink,
    /// The word for what goes on, such as `pulling`.
    pub(crate) status: &'static str,
}

impl Reporter<'_> {
    /// Runs `work`, which moves `blob` and counts it, and reports how far it is meanwhile.
    pub(crate) async fn during<T>(
        &self,
        blob: &Descriptor,
        counter: &Counter,
        work: impl Future<Output = T> + Send,
    ) -> T {
        let mut work = std::pin::pin!(work);
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = ticks.tick() => self.say(blob, self.status, Some(counter.bytes())).await,
            }
        }
    }

    /// Reports what became of `blob`.
    pub(crate) async fn say(&self, blob: &Descriptor, status: &str, current: Option<u64>) {
        let event = Event::Transfer {
            item: blob.digest.to_string(),
            status: status.to_owned(),
            current,
            total: Some(blob.size),
        };
        self.events.emit(event).await;
    }
}
