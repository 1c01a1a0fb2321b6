//! Who made something in containerd: this process, told from any other that had or will have its number.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// A process, as labels name it: the start of the machine, the namespace of process numbers, the number, and when it
/// started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    boot: String,
    namespace: u64,
    pid: u32,
    started: u64,
}

impl Identity {
    /// Returns this process, or `None` where the system does not tell.
    pub(crate) fn own() -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        let namespace = fs::metadata("/proc/self/ns/pid").ok()?.ino();
        let pid = std::process::id();
        Some(Self { boot, namespace, pid, started: started(pid)? })
    }

    /// Returns it as the value of a label.
    pub(crate) fn label(&self) -> String {
        format!("{}.{}.{}.{}", self.boot, self.namespace, self.pid, self.started)
    }

    /// Reads the value of a label.
    pub(crate) fn read(label: &str) -> Option<Self> {
        let mut parts = label.split('.');
        let boot = parts.next()?.to_owned();
        let namespace = parts.next()?.parse().ok()?;
        let pid = parts.next()?.parse().ok()?;
        let started = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self { boot, namespace, pid, started })
    }

    /// Returns whether it has ended, as far as `observer` can see. Of a process in another namespace it cannot.
    pub(crate) fn has_ended(&self, observer: &Self) -> bool {
        if self.boot != observer.boot {
            return true;
        }
        self.namespace == observer.namespace && started(self.pid) != Some(self.started)
    }
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
        let own = Identity::own().unwrap();
        assert_eq!(Identity::read(&own.label()), Some(own.clone()));
        assert!(!own.has_ended(&own));
        let earlier = Identity { started: own.started - 1, ..own.clone() };
        assert!(earlier.has_ended(&own));
        let before = Identity { boot: "x".into(), ..own.clone() };
        assert!(before.has_ended(&own));
        let elsewhere = Identity { namespace: 1, started: 0, ..own.clone() };
        assert!(!elsewhere.has_ended(&own));
        assert_eq!(Identity::read("1.2.3"), None);
    }
}
