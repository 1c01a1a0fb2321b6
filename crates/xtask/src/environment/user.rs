//! The ordinary user who runs rootless engines.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::{getgid, getuid};

use super::layout::Layout;
use super::state::State;
use crate::problem::{Explain, Problem, Result};
use crate::program::{Program, variable};

/// The variable with name, user and group of whom root made for an environment.
pub(crate) const ORDINARY_USER: &str = "BOXWRIGHT_TEST_ORDINARY_USER";

/// A user of this machine.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl Account {
    /// Returns whether this program runs as this user.
    pub(crate) fn is_this_user(&self) -> bool {
        self.user == getuid().as_raw()
    }
}

/// Returns who runs rootless engines: this user, or, where that is root, a user made for this environment alone.
pub(crate) fn account(layout: &Layout, state: &mut State) -> Result<Account> {
    if !getuid().is_root() {
        let name = variable("USER").unwrap_or_else(|| getuid().as_raw().to_string());
        need_subordinate_ids(&name)?;
        return Ok(Account { name, user: getuid().as_raw(), group: getgid().as_raw() });
    }
    let name = layout.user();
    state.made_user = Some(name.clone());
    state.write(layout)?;
    if find(&name)?.is_none() {
        let home = layout.path("podman-rootless/home");
        change_users(|| {
            Program::new("useradd")
                .args(["--no-create-home", "--shell", "/bin/sh", "--home-dir"])
                .arg(&home)
                .arg(&name)
        })?;
    }
    if need_subordinate_ids(&name).is_err() {
        let free = "20000000-20065535";
        change_users(|| {
            Program::new("usermod").args(["--add-subuids", free, "--add-subgids", free]).arg(&name)
        })?;
    }
    let found = find(&name)?.ok_or_else(|| Problem::new(format!("the user `{name}` is missing")));
    let (user, group) = found?;
    Ok(Account { name, user, group })
}

/// Removes a user that [`account`] made.
pub(crate) fn remove(name: &str) -> Result<()> {
    if find(name)?.is_some() {
        change_users(|| Program::new("userdel").arg(name))?;
    }
    Ok(())
}

/// Runs a program that changes the users, again while another one holds the lock of their files.
fn change_users(program: impl Fn() -> Program) -> Result<()> {
    let mut tries = 0;
    loop {
        match program().output() {
            Ok(_) => return Ok(()),
            Err(problem) if tries < 50 && problem.to_string().contains("try again later") => {
                tries += 1;
                thread::sleep(Duration::from_millis(200));
            }
            Err(problem) => return Err(problem),
        }
    }
}

/// Returns the numbers of the user and of its group.
fn find(name: &str) -> Result<Option<(u32, u32)>> {
    let users = fs::read_to_string("/etc/passwd").explain(|| "cannot read the users".to_owned())?;
    Ok(users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_it = fields.first() == Some(&name);
        is_it.then(|| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))).flatten()
    }))
}

fn need_subordinate_ids(name: &str) -> Result<()> {
    let given = |file: &Path| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().any(|line| line.split(':').next() == Some(name))
    };
    if given(Path::new("/etc/subuid")) && given(Path::new("/etc/subgid")) {
        return Ok(());
    }
    Err(Problem::new(format!("the user `{name}` has no subordinate ids"))
        .cause("/etc/subuid or /etc/subgid does not name it")
        .help(format!(
            "run `sudo usermod --add-subuids 200000-265535 --add-subgids 200000-265535 {name}`"
        )))
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn root_has_number_zero_and_a_stranger_has_none() {
        assert_eq!(find("root").unwrap(), Some((0, 0)));
        assert_eq!(find("no-such-user-anywhere").unwrap(), None);
    }
}
