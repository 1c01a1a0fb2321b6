//! Installs programs that are missing, or says what to install.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::console::say;
use crate::problem::{Explain, Problem, Result};
use crate::program::{Program, find};

/// What Debian's package scripts ask before they start a daemon.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// The beginning of our answer; the comment tells it from an administrator's file.
const NO_DAEMONS: &str = "#!/bin/sh\n# Made by `cargo xtask`, which installs packages: no daemon is started meanwhile.\n";
/// How long another run of the package manager may hold its lock.
const LOCK: Duration = Duration::from_secs(600);

/// A program that must be there, and the Debian packages that bring it and what it needs.
#[derive(Debug)]
pub(crate) struct Need<'a> {
    pub(crate) programs: &'a [String],
    pub(crate) packages: &'a [String],
}

/// Makes sure that every program in `needs` is installed. As root on Debian and Ubuntu it installs them, else it says
/// what to install.
pub(crate) fn ensure(needs: &[Need<'_>]) -> Result<()> {
    let mut missing: Vec<&str> = Vec::new();
    let mut packages: Vec<&str> = Vec::new();
    for need in needs {
        let absent: Vec<&str> =
            need.programs.iter().map(String::as_str).filter(|name| find(name).is_none()).collect();
        if !absent.is_empty() {
            missing.extend(absent);
            packages.extend(need.packages.iter().map(String::as_str));
        }
    }
    missing.sort_unstable();
    missing.dedup();
    packages.sort_unstable();
    packages.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let problem = || Problem::new(format!("these programs are missing: {}", missing.join(", ")));
    if find("apt-get").is_none() {
        return Err(problem().help(format!(
            "install them with this system's package manager; Debian calls the packages {}",
            packages.join(", ")
        )));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(problem().cause("only root may install packages").help(format!(
            "run `sudo apt-get install --no-install-recommends {}`",
            packages.join(" ")
        )));
    }
    install(&packages)?;
    match needs.iter().flat_map(|need| need.programs).find(|name| find(name).is_none()) {
        Some(name) => Err(Problem::new(format!("`{name}` is still missing"))
            .cause(format!("the packages {} do not bring it on this system", packages.join(", ")))),
        None => Ok(()),
    }
}

fn install(packages: &[&str]) -> Result<()> {
    let start = Instant::now();
    say(format!("installing {} (no daemon is started)", packages.join(", ")));
    let _policy = Policy::set()?;
    apt(&["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)?;
    say(format!("installed in {:.0} s", start.elapsed().as_secs_f64()));
    Ok(())
}

fn apt(arguments: &[&str]) -> Result<()> {
    let start = Instant::now();
    loop {
        let result = Program::new("apt-get")
            .args(["--quiet", "-o", &format!("DPkg::Lock::Timeout={}", LOCK.as_secs())])
            .args(arguments)
            .variable("DEBIAN_FRONTEND", "noninteractive")
            .variable("LC_ALL", "C")
            .output();
        match result {
            Ok(_) => return Ok(()),
            // `update` does not wait for the lock of the lists.
            Err(problem) if problem.to_string().contains("Could not get lock") => {
                if start.elapsed() > LOCK {
                    return Err(problem.help("wait until the other package manager is done"));
                }
                thread::sleep(Duration::from_secs(2));
            }
            Err(problem) => {
                return Err(problem.help(format!("run `apt-get {}` by hand", arguments.join(" "))));
            }
        }
    }
}

/// Keeps packages from starting their daemons for as long as it lives.
struct Policy {
    made: bool,
}

impl Policy {
    fn set() -> Result<Self> {
        let path = Path::new(POLICY);
        // A run that was killed left its file; an administrator's is not ours to change.
        if fs::read_to_string(path).is_ok_and(|text| !text.starts_with(NO_DAEMONS)) {
            return Ok(Self { made: false });
        }
        // It says no only as long as this process lives, so one that is left does no harm.
        let this = rustix::process::getpid().as_raw_nonzero();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let started = stat.split(' ').nth(21).unwrap_or_default();
        let script = format!(
            "{NO_DAEMONS}[ \"$(cut -d' ' -f22 /proc/{this}/stat 2>/dev/null)\" = {started} ] && exit 101\nexit 0\n"
        );
        let write = || -> std::io::Result<()> {
            fs::write(path, script)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        };
        write().explain(|| format!("cannot write `{POLICY}`"))?;
        Ok(Self { made: true })
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.made {
            let _ = fs::remove_file(POLICY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Need, ensure};

    #[test]
    fn nothing_is_installed_when_nothing_is_missing() {
        let programs = ["sh".to_owned(), "cat".to_owned()];
        let packages = ["no-such-package".to_owned()];
        ensure(&[Need { programs: &programs, packages: &packages }]).unwrap();
    }
}
