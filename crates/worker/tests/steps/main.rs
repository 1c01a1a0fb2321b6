//! Steps in real sandboxes: as root, and as an ordinary user in a user namespace.
//!
//! The sandbox is made by a process with one thread, which is this program again; and an ordinary user is made for
//! one process alone, in a mount namespace with other files of users. So this is a test program with a `main` of
//! its own.
#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test with its place")]

mod basics;
mod canonical;
mod hostile;
#[cfg(target_arch = "x86_64")]
mod i386;
mod mounts;
mod network;
mod upkeep;
mod world;

use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};

/// What `/etc/subuid` has for the user.
const RANGE: &str = "boxwright-test:1879048192:65536";

/// The cases that a user with one id alone runs too.
const ONE_ID: &[&str] = &[
    "a_step_that_changes_nothing_leaves_no_layer",
    "outputs_and_exit_codes_are_exact",
    "only_what_differs_is_in_the_layer",
    "a_file_keeps_its_owner_when_it_is_changed",
    "cold_warm_and_elsewhere_give_the_same_bytes",
    "files_of_the_machine_are_there_and_stay_in_no_layer",
    "a_step_that_forks_without_end_ends_by_its_limit",
    "a_step_that_ignores_signals_is_cancelled_threat_39",
    "a_store_is_pruned_unless_it_is_in_use",
];

/// A test, by its name.
type Case = (&'static str, fn());

/// The argument by which this program runs one case as an ordinary user.
const AS_USER: &str = "--as-user";
/// The argument by which it runs one case as it is, to be killed.
const ALONE: &str = "--alone";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [boxwright_worker::SANDBOX_ARGUMENT] => {
            return ExitCode::from(boxwright_worker::sandbox_main());
        }
        [AS_USER, name] => {
            boxwright_worker::userns::enter().unwrap();
            return run(name);
        }
        [ALONE, name, ..] => return run(name),
        _ => {}
    }
    let is_root = rustix::process::geteuid().is_root();
    let mut trials = Vec::new();
    for (name, case) in cases() {
        if is_root {
            trials.push(Trial::test(format!("root::{name}"), move || {
                case();
                Ok(())
            }));
        }
        trials.push(Trial::test(format!("user::{name}"), move || as_user(name, RANGE)));
        if ONE_ID.contains(&name) && is_root {
            trials.push(Trial::test(format!("one_id::{name}"), move || as_user(name, "")));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn cases() -> impl Iterator<Item = Case> {
    let all = [
        basics::CASES,
        canonical::CASES,
        mounts::CASES,
        network::CASES,
        hostile::CASES,
        upkeep::CASES,
        #[cfg(target_arch = "x86_64")]
        i386::CASES,
    ];
    all.into_iter().flatten().copied()
}

fn run(name: &str) -> ExitCode {
    let helpers = hostile::HELPERS.iter().copied();
    let (_, case) = cases().chain(helpers).find(|(case, _)| *case == name).unwrap();
    case();
    ExitCode::SUCCESS
}

/// Runs a case in a process that belongs to an ordinary user with a range of ids.
#[expect(clippy::disallowed_methods, reason = "a test starts itself again")]
fn as_user(name: &str, ids: &str) -> Result<(), Failed> {
    const BECOME: &str = "mount -t tmpfs none /mnt && cp /etc/passwd /etc/group /mnt \
        && echo 'boxwright-test:x:47000:47000::/:/bin/sh' >>/mnt/passwd \
        && echo 'boxwright-test:x:47000:' >>/mnt/group \
        && echo \"$1\" >/mnt/subid && shift \
        && touch /etc/subuid /etc/subgid \
        && mount --bind /mnt/passwd /etc/passwd && mount --bind /mnt/group /etc/group \
        && mount --bind /mnt/subid /etc/subuid && mount --bind /mnt/subid /etc/subgid \
        && exec setpriv --reuid 47000 --regid 47000 --clear-groups \"$@\"";
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-ec", BECOME, "sh", ids]);
        command
    } else {
        Command::new("env")
    };
    let output = command.arg(world::readable_program()).args([AS_USER, name]);
    let output = output.current_dir("/").stdin(Stdio::null()).output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{}\n{text}", output.status).into())
}
