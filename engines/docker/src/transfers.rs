//! What the daemon reports of pushes and pulls, as events. Pure.

use boxwright_core::{Digest, Event};

/// One thing that a push or a pull reports.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report<'a> {
    /// A short layer id.
    pub(crate) id: Option<&'a str>,
    /// What is done.
    pub(crate) status: Option<&'a str>,
    /// How much is done, in bytes.
    pub(crate) current: Option<i64>,
    /// How much there is, in bytes.
    pub(crate) total: Option<i64>,
}

impl Report<'_> {
    /// Returns the event that tells it, if it is about a layer.
    pub(crate) fn event(&self) -> Option<Event> {
        let (id, status) = (self.id?, self.status?);
        // The head line of a pull has the tag where a layer has its id.
        if status.starts_with("Pulling from ") {
            return None;
        }
        let bytes = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        let (current, total) = (bytes(self.current), bytes(self.total));
        // The daemon counts the tar with its padding, and its total without.
        let total = total.map(|total| total.max(current.unwrap_or(0)));
        Some(Event::Transfer { item: id.to_owned(), status: worded(status), current, total })
    }

    /// Returns the digest that it tells.
    pub(crate) fn digest(&self) -> Option<Digest> {
        let (_, rest) = self.status?.split_once("igest: ")?;
        rest.split_whitespace().next()?.parse().ok()
    }
}

fn worded(status: &str) -> String {
    match status {
        "Layer already exists" | "Already exists" => "already there".to_owned(),
        other => other.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Message, parse};

    fn messages(recorded: &str) -> Vec<Message> {
        recorded.lines().map(|line| parse(line.as_bytes()).unwrap()).collect()
    }

    fn report(message: &Message) -> Report<'_> {
        crate::push::report(message)
    }

    #[test]
    fn a_push_tells_its_layers_and_its_digest() {
        let messages = messages(include_str!("../tests/recorded/20.10/push.ndjson"));
        let events: Vec<Event> = messages.iter().filter_map(|m| report(m).event()).collect();
        let layer = |status: &str, current, total| Event::Transfer {
            item: "199e6d9ab49d".into(),
            status: status.into(),
            current,
            total,
        };
        assert_eq!(events[0], layer("preparing", None, None));
        assert!(events.contains(&layer("pushing", Some(2048), Some(2048))), "{events:?}");
        assert!(events.contains(&layer("pushed", None, None)), "{events:?}");
        let digests: Vec<Digest> = messages.iter().filter_map(|m| report(m).digest()).collect();
        let digest = "sha256:6d7426bb2d02b1bd35a01ac8dcc73805ec5c6e5b2da45860e99ab87840185041";
        assert_eq!(digests, [digest.parse().unwrap()]);
    }

    #[test]
    fn a_layer_that_is_there_is_said_to_be() {
        let messages = messages(include_str!("../tests/recorded/20.10/push-again.ndjson"));
        let last = messages.iter().filter_map(|m| report(m).event()).next_back();
        let Some(Event::Transfer { status, .. }) = last else { panic!("{last:?}") };
        assert_eq!(status, "already there");
    }

    #[test]
    fn a_pull_tells_its_digest_and_no_event_for_its_head() {
        let head = Report { id: Some("1"), status: Some("Pulling from a/b"), ..Default::default() };
        assert_eq!(head.event(), None);
        let digest = "sha256:9a068650cb0af49a441747ca5eaa5ccf78ba092028687105955c5425acff02ed";
        let status = format!("Digest: {digest}");
        let line = Report { status: Some(&status), ..Default::default() };
        assert_eq!(line.digest(), Some(digest.parse().unwrap()));
    }
}
