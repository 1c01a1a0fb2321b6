//! A store whose disk is full, or cannot be written: a small file system of its own, in a namespace of its own.

use std::path::Path;

use super::harness::{Home, Run};

/// Runs lines of a shell where the store is a file system of 4 MB. `build NAME TAG` builds the folder `NAME` and prints
/// how that ended; `images` prints the names there are.
fn with_small_store(lines: &str) -> Run {
    let home = Home::with_dockerfile("FROM scratch\nCOPY f /f\n")
        .file("app/f", "small\n")
        .file("big/Dockerfile", "FROM scratch\nCOPY f /f\n")
        .file("big/f", vec![7; 6_000_000]);
    std::fs::create_dir(home.path("store")).unwrap();
    let store = home.path("store").display().to_string();
    let home = home
        .variable("BOXWRIGHT_STORE", store)
        .variable("BOXWRIGHT_ENGINE", "embedded")
        .variable("program", env!("CARGO_BIN_EXE_boxwright"));
    let script = format!(
        "mount -t tmpfs -o size=4m none store || exit 99\n\
         build() {{ $program build -q -t $2 --label tag=$2 $1 >id; echo $2 $?; }}\n\
         images() {{ $program images | sed -n 's|^docker.io/library/\\([^ ]*\\).*|\\1|p' | sort | tr '\\n' ' '; echo; }}\n\
         {lines}"
    );
    let unshare = Path::new("/usr/bin/unshare");
    home.finish(home.command(unshare, &["-rm", "/bin/sh", "-c", &script]), b"")
}

#[test]
fn a_full_disk_loses_nothing_and_the_next_build_works_threat_39() {
    let run = with_small_store(
        "build app one:1\nbuild big two:1\nimages\n\
         head -c 9000000 /dev/zero >store/filler 2>/dev/null\nbuild app three:1\nrm store/filler\n\
         ls store/ingest | wc -l\nbuild app three:1\nimages\n",
    );
    let wanted = "one:1 0\ntwo:1 1\none:1 \nthree:1 1\n0\nthree:1 0\none:1 three:1 \n";
    assert_eq!(run.stdout, wanted, "{run}");
    assert!(run.stderr.contains("No space left on device"), "{run}");
    assert!(run.stderr.contains("help: free some space there"), "{run}");
}

#[test]
fn a_store_that_cannot_be_written_says_so_and_loses_nothing_threat_39() {
    let run = with_small_store(
        "build app one:1\nmount -o remount,ro store\nbuild app two:1\nmount -o remount,rw store\n\
         build app two:1\nimages\n",
    );
    assert_eq!(run.stdout, "one:1 0\ntwo:1 3\ntwo:1 0\none:1 two:1 \n", "{run}");
    assert!(run.stderr.contains("Read-only file system"), "{run}");
    assert!(run.stderr.contains("help: name another folder by `BOXWRIGHT_STORE`"), "{run}");
}
