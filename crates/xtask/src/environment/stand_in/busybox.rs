//! The files of the small images: busybox, and what makes it look like Alpine.

use super::super::base_image::Busybox;
use super::super::image::Files;
use super::users::{self, Numbers};
use crate::problem::{Explain, Result};

/// The folders of both, each after the one that it is in.
const FOLDERS: [(&str, u32); 13] = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("root", 0o700),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/sbin", 0o755),
    ("var", 0o755),
    ("var/spool", 0o755),
    ("var/spool/mail", 0o755),
    ("var/www", 0o755),
];

/// The folders that Alpine has besides.
const MORE_FOLDERS: [(&str, u32); 14] = [
    ("lib", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("run", 0o755),
    ("sbin", 0o755),
    ("srv", 0o755),
    ("sys", 0o555),
    ("usr/lib", 0o755),
    ("usr/local", 0o755),
    ("usr/local/bin", 0o755),
    ("var/cache", 0o755),
    ("var/cache/apk", 0o755),
];

const VERSION: &str = "3.20.0";

/// Returns the tar of the plain image.
pub(super) fn plain(tools: &Busybox) -> Result<Vec<u8>> {
    let write = || {
        let mut files = Files::new();
        common(&mut files, tools, Numbers::DaemonFirst)?;
        files.finish()
    };
    write().explain(|| "cannot make the image `busybox`".to_owned())
}

/// Returns the tar of the image that looks like Alpine.
pub(super) fn alpine(tools: &Busybox) -> Result<Vec<u8>> {
    let write = || {
        let mut files = Files::new();
        common(&mut files, tools, Numbers::BinFirst)?;
        MORE_FOLDERS.into_iter().try_for_each(|(path, mode)| files.folder(path, mode))?;
        let release = format!(
            "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID={VERSION}\n\
             PRETTY_NAME=\"Alpine Linux v3.20 (stand-in)\"\n"
        );
        files.file("etc/os-release", 0o644, release)?;
        files.file("etc/alpine-release", 0o644, format!("{VERSION}\n"))?;
        files.finish()
    };
    write().explain(|| "cannot make the image `alpine`".to_owned())
}

fn common(files: &mut Files, tools: &Busybox, numbers: Numbers) -> std::io::Result<()> {
    FOLDERS.into_iter().try_for_each(|(path, mode)| files.folder(path, mode))?;
    files.file("bin/busybox", 0o755, &tools.content)?;
    for applet in &tools.applets {
        files.hard_link(&format!("bin/{applet}"), "bin/busybox", 0o755)?;
    }
    for (name, script) in [("addgroup", users::ADDGROUP), ("adduser", users::ADDUSER)] {
        if !tools.applets.iter().any(|applet| applet == name) {
            files.file(&format!("bin/{name}"), 0o755, script)?;
        }
    }
    files.symlink("usr/bin/env", "../../bin/env")?;
    files.file("etc/passwd", 0o644, users::passwd(numbers))?;
    files.file("etc/shadow", 0o640, users::shadow())?;
    files.file("etc/group", 0o644, users::group(numbers))?;
    files.file("etc/nsswitch.conf", 0o644, users::NAME_SERVICES)
}

#[cfg(test)]
mod tests {
    use super::super::super::image::tests::list;
    use super::*;

    fn tools() -> Busybox {
        let applets = ["sh", "env"].map(str::to_owned).to_vec();
        Busybox { content: b"program".to_vec(), applets }
    }

    #[test]
    fn programs_are_hard_links_of_one_file() {
        let bytes = plain(&tools()).unwrap();
        let seen = list(&bytes);
        assert_eq!(seen["bin/busybox"].text, "program");
        assert_eq!(seen["bin/sh"].link.as_deref(), Some("bin/busybox"));
        assert_eq!(seen["usr/bin/env"].link.as_deref(), Some("../../bin/env"));
        assert_eq!((seen["root"].mode, seen["tmp"].mode), (0o700, 0o1777));
        assert!(!seen.contains_key("lib"));
        assert_eq!(bytes, plain(&tools()).unwrap());
    }

    #[test]
    fn the_other_flavour_says_what_it_is() {
        let seen = list(&alpine(&tools()).unwrap());
        assert!(seen["etc/os-release"].text.contains("\nID=alpine\n"));
        assert_eq!((seen["proc"].mode, seen["sys"].mode), (0o555, 0o555));
        assert_eq!(seen["bin/adduser"].mode, 0o755);
    }

    #[test]
    fn a_program_of_busybox_itself_is_kept() {
        let mut tools = tools();
        tools.applets.push("adduser".to_owned());
        let seen = list(&plain(&tools).unwrap());
        assert_eq!(seen["bin/adduser"].link.as_deref(), Some("bin/busybox"));
        assert!(seen["bin/addgroup"].text.starts_with("#!/bin/sh"));
    }
}
