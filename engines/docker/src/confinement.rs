//! What confines the worker's container beside its capabilities. Pure.
//!
//! The container gets `CAP_SYS_ADMIN` and no other right more than usual, and is not privileged. What Docker's own
//! profiles refuse in spite of that capability is what a step cannot do without: a root file system of its own. Steps
//! themselves run under the filter of the worker, which refuses more than Docker's.

use serde_json::json;

/// What Docker's default profile refuses to a container with `CAP_SYS_ADMIN`, but for `pivot_root`.
/// Source: moby `profiles/seccomp/default.json`, and "Significant syscalls blocked by the default profile".
const REFUSED: &[&str] = &[
    "_sysctl",
    "acct",
    "add_key",
    "bpf",
    "create_module",
    "delete_module",
    "finit_module",
    "get_kernel_syms",
    "init_module",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "move_pages",
    "nfsservctl",
    "open_by_handle_at",
    "perf_event_open",
    "process_vm_readv",
    "process_vm_writev",
    "query_module",
    "quotactl",
    "reboot",
    "request_key",
    "settimeofday",
    "clock_settime",
    "stime",
    "swapoff",
    "swapon",
    "sysfs",
    "syslog",
    "userfaultfd",
    "uselib",
    "ustat",
    "vhangup",
    "vm86",
    "vm86old",
];

/// Returns the `SecurityOpt` of the worker's container on a daemon with the security options `daemon`.
pub(crate) fn security(daemon: &[String]) -> Vec<String> {
    let has = |name: &str| daemon.iter().any(|option| option.starts_with(name));
    let mut options = Vec::new();
    // QUIRK(docker): the default profile refuses pivot_root whatever the capabilities:
    // https://github.com/moby/moby/blob/v20.10.24/profiles/seccomp/default.json
    if has("name=seccomp") {
        let profile = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "archMap": [
                {
                    "architecture": "SCMP_ARCH_X86_64",
                    "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
                },
                { "architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"] },
            ],
            "syscalls": [{ "names": REFUSED, "action": "SCMP_ACT_ERRNO" }],
        });
        options.push(format!("seccomp={profile}"));
    }
    // QUIRK(docker): `docker-default` refuses every mount: https://docs.docker.com/engine/security/apparmor/
    if has("name=apparmor") {
        options.push("apparmor=unconfined".to_owned());
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_for_that_the_daemon_does_not_have() {
        assert_eq!(security(&["name=rootless".to_owned()]), [""; 0]);
        let options = security(&["name=apparmor".into(), "name=seccomp,profile=default".into()]);
        let [seccomp, apparmor] = options.as_slice() else { panic!("{options:?}") };
        assert_eq!(apparmor, "apparmor=unconfined");
        let profile: serde_json::Value =
            serde_json::from_str(seccomp.strip_prefix("seccomp=").unwrap()).unwrap();
        let names = profile["syscalls"][0]["names"].as_array().unwrap();
        assert!(names.iter().any(|name| name == "bpf"));
        assert!(names.iter().all(|name| name != "pivot_root" && name != "mount"));
    }
}
