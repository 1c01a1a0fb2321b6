//! What a command writes, on its way to the listener: values of secrets are covered, and the end is kept.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;

use boxwright_core::{Event, EventSink, OutputStream, Secret, Session, StepId};
use tokio::sync::mpsc::Receiver;

/// How much of the end is kept for the error: lines, and bytes.
const LAST_LINES: usize = 10;
const LAST_BYTES: usize = 4096;

/// Secrets that are shorter would cover what is no secret.
const SHORTEST: usize = 8;

/// What stands in the place of a secret.
const COVER: &[u8] = b"***";

/// Passes events on while a command runs.
pub(crate) struct Relay {
    receiver: Receiver<Event>,
    to: EventSink,
    secrets: Vec<Vec<u8>>,
    /// What may be the beginning of a secret, until more is written.
    held: BTreeMap<(StepId, bool), Vec<u8>>,
    tail: Vec<u8>,
    /// The step that transfers belong to.
    step: Option<StepId>,
}

impl Relay {
    /// Returns a relay to the events of `session`, and the session whose events pass through it.
    pub(crate) fn new<'s>(
        session: &Session,
        secrets: impl Iterator<Item = &'s Secret>,
    ) -> (Self, Session) {
        let mut secrets: Vec<Vec<u8>> = secrets
            .map(|secret| secret.expose().trim_ascii().to_vec())
            .filter(|secret| secret.len() >= SHORTEST)
            .collect();
        // The longest first, so that one that begins with another is covered whole.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let (sink, receiver) = EventSink::channel();
        let to = session.events.clone();
        let (held, tail) = (BTreeMap::new(), Vec::new());
        let relay = Self { receiver, to, secrets, held, tail, step: None };
        (relay, session.clone().with_events(sink))
    }

    /// Returns the relay with transfers as progress of a step.
    pub(crate) fn of_step(self, step: StepId) -> Self {
        Self { step: Some(step), ..self }
    }

    /// Does `work`. Returns its result, and the last lines that were written.
    pub(crate) async fn during<T>(mut self, work: impl Future<Output = T> + Send) -> (T, String) {
        let mut work = pin!(work);
        let result = loop {
            tokio::select! {
                result = &mut work => break result,
                Some(event) = self.receiver.recv() => self.pass(event).await,
            }
        };
        // Whoever kept the sink is not waited for.
        self.receiver.close();
        while let Some(event) = self.receiver.recv().await {
            self.pass(event).await;
        }
        for ((step, is_error), bytes) in std::mem::take(&mut self.held) {
            self.write(step, stream(is_error), bytes).await;
        }
        (result, last_lines(&self.tail))
    }

    async fn pass(&mut self, event: Event) {
        if let (Some(step), Event::Transfer { item, current, total, .. }) = (self.step, &event) {
            let (item, current, total) = (item.clone(), current.unwrap_or_default(), *total);
            return self.to.emit(Event::StepProgress { step, item, current, total }).await;
        }
        let Event::StepLog { step, stream, bytes } = event else {
            return self.to.emit(event).await;
        };
        let place = (step, stream == OutputStream::Stderr);
        let mut whole = self.held.remove(&place).unwrap_or_default();
        whole.extend(bytes);
        let (shown, held) = covered(&whole, &self.secrets);
        if !held.is_empty() {
            self.held.insert(place, held);
        }
        self.write(step, stream, shown).await;
    }

    async fn write(&mut self, step: StepId, stream: OutputStream, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.tail.extend(&bytes);
        let surplus = self.tail.len().saturating_sub(LAST_BYTES);
        self.tail.drain(..surplus);
        self.to.emit(Event::StepLog { step, stream, bytes }).await;
    }
}

fn stream(is_error: bool) -> OutputStream {
    if is_error { OutputStream::Stderr } else { OutputStream::Stdout }
}

/// Covers the secrets in `bytes`. Returns what can be shown, and an end that may be the beginning of one.
fn covered(bytes: &[u8], secrets: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
    let mut shown = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if let Some(secret) = secrets.iter().find(|secret| rest.starts_with(secret)) {
            shown.extend(COVER);
            at += secret.len();
        } else if secrets.iter().any(|secret| secret.starts_with(rest)) {
            return (shown, rest.to_vec());
        } else {
            shown.push(bytes[at]);
            at += 1;
        }
    }
    (shown, Vec::new())
}

fn last_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_is_covered_wherever_its_writing_is_cut_threat_37() {
        let secret = Secret::from("hunter2-hunter3\n");
        let text = b"a hunter2-hunter3 b hunter2-hunter2-hunter3\nhunter2-";
        for cut in 0..text.len() {
            let (sink, mut events) = EventSink::channel();
            let host = boxwright_core::Host::with_variables::<String, String>("/", []);
            let outer = Session::new(host).with_events(sink);
            let (relay, session) = Relay::new(&outer, [&secret].into_iter());
            drop(outer);
            let work = async move {
                for bytes in [&text[..cut], &text[cut..]] {
                    let (step, stream) = (StepId(0), OutputStream::Stdout);
                    session
                        .events
                        .emit(Event::StepLog { step, stream, bytes: bytes.to_vec() })
                        .await;
                }
            };
            let ((), tail) = relay.during(work).await;
            let mut all = Vec::new();
            while let Some(Event::StepLog { bytes, .. }) = events.recv().await {
                all.extend(bytes);
            }
            assert_eq!(String::from_utf8_lossy(&all), "a *** b hunter2-***\nhunter2-", "{cut}");
            assert_eq!(tail, "a *** b hunter2-***\nhunter2-");
        }
    }

    #[test]
    fn the_last_lines_are_kept() {
        let text: String = (0..20).map(|n| format!("{n}\n")).collect();
        assert_eq!(last_lines(text.as_bytes()), "10\n11\n12\n13\n14\n15\n16\n17\n18\n19");
    }
}
