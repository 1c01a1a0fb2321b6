//! One JSON object a line, as `docs/reference/events.md` documents them.

use std::time::Duration;

use boxwright_core::Event;

use super::Renderer;

/// Prints every event as it is.
#[derive(Debug)]
pub(super) struct Json;

impl Renderer for Json {
    fn event(&mut self, event: Event, _now: Duration) -> String {
        // Events are plain data; serializing them cannot fail.
        serde_json::to_string(&event).map(|line| line + "\n").unwrap_or_default()
    }

    fn interrupted(&mut self, now: Duration) -> String {
        self.event(Event::Notice { message: "interrupted: cleaning up".to_owned() }, now)
    }
}
