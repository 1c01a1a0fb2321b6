//! How often and how patiently a failing request is repeated.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use crate::failure::Retry;

/// How often and how patiently a failing request is repeated.
///
/// Repeated are requests whose connection broke or timed out, and the answers 408, 429, 500, 502, 503
/// and 504. What the registry says in `Retry-After` is heeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often a request is sent at most. Default: 4.
    pub attempts: u32,
    /// The pause after the first failure; each further one is twice as long. Default: 250 ms.
    pub first_pause: Duration,
    /// The longest pause; when the registry asks for a longer one, the request fails. Default: 60 s.
    pub longest_pause: Duration,
    /// How long a registry may be silent, before or within an answer. Default: 60 s.
    pub longest_silence: Duration,
    /// How long connecting may take, with the TLS handshake. Default: 10 s.
    pub longest_connecting: Duration,
    /// How long a registry may be silent before it is reported that it is waited for. Default: 2 s.
    pub quiet_wait: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(60),
            longest_silence: Duration::from_secs(60),
            longest_connecting: Duration::from_secs(10),
            quiet_wait: Duration::from_secs(2),
        }
    }
}

impl Retries {
    /// Returns what suits a question that somebody waits for: two attempts, each with 5 s to connect and 10 s for an
    /// answer.
    #[must_use]
    pub fn for_questions() -> Self {
        Self {
            attempts: 2,
            longest_silence: Duration::from_secs(10),
            longest_connecting: Duration::from_secs(5),
            ..Self::default()
        }
    }

    /// Returns how long to wait after failure number `attempt`, or `None` to give up.
    pub(crate) fn pause(&self, attempt: u32, retry: Retry) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let own = self.first_pause.saturating_mul(1 << (attempt - 1).min(16));
        match retry {
            Retry::Never => None,
            Retry::Soon => Some(own.min(self.longest_pause).mul_f64(jitter())),
            Retry::After(pause) => (pause <= self.longest_pause).then_some(pause),
        }
    }
}

/// Returns a number from 0.5 to 1, so that those who failed together do not come back together.
fn jitter() -> f64 {
    // Every `RandomState` has keys of its own.
    let random = RandomState::new().hash_one(());
    0.5 + f64::from(u16::try_from(random & 0xffff).unwrap_or(0)) / 131_072.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let retries = Retries::default();
        for (attempt, longest) in [(1, 250), (2, 500), (3, 1000)] {
            let pause = retries.pause(attempt, Retry::Soon).unwrap().as_millis();
            assert!((longest / 2..=longest).contains(&pause), "{attempt}: {pause}");
        }
        assert_eq!(retries.pause(4, Retry::Soon), None);
        assert_eq!(retries.pause(1, Retry::Never), None);
    }

    #[test]
    fn the_registrys_own_wish_is_heeded_up_to_a_limit_threat_32() {
        let retries = Retries::default();
        let after = |seconds| retries.pause(1, Retry::After(Duration::from_secs(seconds)));
        assert_eq!(after(60), Some(Duration::from_secs(60)));
        assert_eq!(after(61), None);
    }
}
