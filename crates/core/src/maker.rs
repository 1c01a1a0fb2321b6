//! Who made something in an engine: this process, told from any other that had or will have its number.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

use crate::labels;

/// A process, as labels name it: its machine, the start of that machine, the namespace of process numbers, the number,
/// and when it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maker {
    /// Empty where the machine has no name of its own.
    machine: String,
    boot: String,
    namespace: u64,
    pid: u32,
    started: u64,
}

impl Maker {
    /// Returns this process, or `None` where the system does not tell.
    #[must_use]
    pub fn own() -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        let namespace = fs::metadata("/proc/self/ns/pid").ok()?.ino();
        let pid = std::process::id();
        Some(Self { machine: machine(), boot, namespace, pid, started: started(pid)? })
    }

    /// Returns it as the value of a label.
    #[must_use]
    pub fn label(&self) -> String {
        let Self { machine, boot, namespace, pid, started } = self;
        format!("{machine}.{boot}.{namespace}.{pid}.{started}")
    }

    /// Reads the value of a label.
    #[must_use]
    pub fn read(label: &str) -> Option<Self> {
        let mut parts = label.split('.');
        let machine = parts.next()?.to_owned();
        let boot = parts.next()?.to_owned();
        let namespace = parts.next()?.parse().ok()?;
        let pid = parts.next()?.parse().ok()?;
        let started = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self { machine, boot, namespace, pid, started })
    }

    /// Returns whether it has ended, as far as `observer` can see: not of a process on another machine, since engines can
    /// be shared, and not of one in another namespace.
    #[must_use]
    pub fn has_ended(&self, observer: &Self) -> bool {
        if self.boot != observer.boot {
            return !self.machine.is_empty() && self.machine == observer.machine;
        }
        self.namespace == observer.namespace && started(self.pid) != Some(self.started)
    }
}

/// Returns the labels of something that this process makes for `purpose`, such as `run`, and removes before it ends.
#[must_use]
pub fn own_labels(purpose: &str) -> BTreeMap<String, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut own = BTreeMap::from([
        (labels::OWNER.to_owned(), purpose.to_owned()),
        (labels::STARTED.to_owned(), now.to_string()),
    ]);
    own.extend(Maker::own().map(|maker| (labels::MAKER.to_owned(), maker.label())));
    own
}

/// Returns whether something with these labels was left by a process that has ended, as far as `observer` can see.
pub fn is_left<'a>(label: impl Fn(&str) -> Option<&'a str>, observer: &Maker) -> bool {
    let maker = label(labels::MAKER).and_then(Maker::read);
    label(labels::OWNER).is_some() && maker.is_some_and(|maker| maker.has_ended(observer))
}

/// Returns a name for this machine that stays when it starts again. Its own is not for others to know, so it is a hash.
fn machine() -> String {
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    if id.trim().is_empty() {
        return String::new();
    }
    let hash = Sha256::new().chain_update("dev.boxwright").chain_update(id.trim()).finalize();
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns when the process `pid` started, in clock ticks since the machine did.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    // One that ended and was not reaped is no owner any more.
    (fields.next()? != "Z").then_some(())?;
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_used_again_is_another_process_threat_40() {
        let own = Maker { machine: "m".into(), ..Maker::own().unwrap() };
        assert_eq!(Maker::read(&own.label()), Some(own.clone()));
        assert!(!own.has_ended(&own));
        let earlier = Maker { started: own.started - 1, ..own.clone() };
        assert!(earlier.has_ended(&own));
        let elsewhere = Maker { namespace: 1, started: 0, ..own.clone() };
        assert!(!elsewhere.has_ended(&own));
        assert_eq!(Maker::read("1.2.3"), None);
    }

    #[test]
    fn another_boot_tells_only_on_the_same_machine() {
        let own = Maker { machine: "m".into(), ..Maker::own().unwrap() };
        let before = Maker { boot: "x".into(), ..own.clone() };
        assert!(before.has_ended(&own));
        let other = Maker { machine: "n".into(), ..before.clone() };
        assert!(!other.has_ended(&own));
        let nameless = |maker: Maker| Maker { machine: String::new(), ..maker };
        assert!(!nameless(before).has_ended(&nameless(own)));
    }

    #[test]
    fn what_a_process_makes_is_left_only_when_it_has_ended() {
        let own = Maker::own().unwrap();
        let mut made = own_labels("run");
        assert_eq!(made[labels::OWNER], "run");
        let left = |made: &BTreeMap<String, String>| {
            is_left(|name| made.get(name).map(String::as_str), &own)
        };
        assert!(!left(&made));
        let ended = Maker { started: own.started - 1, ..own.clone() };
        made.insert(labels::MAKER.to_owned(), ended.label());
        assert!(left(&made));
        made.remove(labels::OWNER);
        assert!(!left(&made));
    }
}
