//! Daemons that are not there, hang, are closed to the user, or are something else.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use serde_json::Value;

use super::harness::{Home, Run};

/// A home where nothing of this machine's engines is found.
fn home() -> Home {
    Home::new().variable("PATH", "/nonexistent")
}

/// A home whose engines are looked for at these sockets alone.
fn home_with(docker: &str, podman: &str) -> Home {
    let home = home();
    let socket = |name: &str| format!("unix://{}", home.path(name).display());
    let (docker, podman) = (socket(docker), socket(podman));
    let containerd = socket("containerd.sock");
    // No store can be there.
    let home = home.variable("BOXWRIGHT_STORE", "/dev/null/store");
    let lxd = home.path("lxd.sock").display().to_string();
    let home = home.variable("LXD_SOCKET", lxd).variable("CONTAINERD_ADDRESS", containerd);
    home.variable("DOCKER_HOST", docker).variable("CONTAINER_HOST", podman)
}

/// Runs the program as an ordinary user, to whom rights mean something.
pub(crate) fn as_ordinary_user(home: &Home, arguments: &[&str]) -> Run {
    let program = env!("CARGO_BIN_EXE_boxwright");
    if !rustix::process::geteuid().is_root() {
        return home.real(arguments);
    }
    std::fs::set_permissions(home.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    let setpriv = std::path::Path::new("/usr/bin/setpriv");
    let flags = ["--reuid=65534", "--regid=65534", "--clear-groups", program];
    home.finish(home.command(setpriv, &[&flags, arguments].concat()), b"")
}

#[test]
fn nothing_there_names_every_place() {
    let home = home_with("docker.sock", "podman.sock");
    assert_snapshot!(home.real(&["engines"]), @r"
exit code 0
--- stdout
ENGINE      STATE     VERSION  BUILDS WITH  ROOTLESS  STORAGE  ENDPOINT
docker      unusable                                           unix://[folder]/docker.sock
podman      unusable                                           unix://[folder]/podman.sock
containerd  unusable                                           unix://[folder]/containerd.sock
lxd         unusable                                           unix://[folder]/lxd.sock
embedded    unusable                                           /dev/null/store

docker: unusable at unix://[folder]/docker.sock
  cannot connect to `[folder]/docker.sock`
  caused by: there is no such socket
  help: start the service that listens there, or correct the path
podman: unusable at unix://[folder]/podman.sock
  cannot connect to `unix://[folder]/podman.sock`
  caused by: there is no such socket
  help: start it: `podman system service --time 0 unix://[folder]/podman.sock &`, or correct CONTAINER_HOST
containerd: unusable at unix://[folder]/containerd.sock
  cannot connect to `unix://[folder]/containerd.sock`
  caused by: there is no such socket
  help: start it: `containerd --address [folder]/containerd.sock &`, or correct CONTAINERD_ADDRESS
lxd: unusable at unix://[folder]/lxd.sock
  cannot connect to `unix://[folder]/lxd.sock`
  caused by: there is no such socket
  help: start LXD or Incus, or correct LXD_SOCKET
embedded: unusable at /dev/null/store
  cannot keep images in `/dev/null/store`
  caused by: `/dev/null` is not a folder
  help: name another folder by `BOXWRIGHT_STORE`

`boxwright build` has no engine to use
--- stderr
");
    assert_snapshot!(home.real(&["images"]), @r"
exit code 3
--- stdout
--- stderr
error: no container engine is ready
  caused by:
    docker at unix://[folder]/docker.sock: cannot connect to `[folder]/docker.sock` (there is no such socket)
    podman at unix://[folder]/podman.sock: cannot connect to `unix://[folder]/podman.sock` (there is no such socket)
    containerd at unix://[folder]/containerd.sock: cannot connect to `unix://[folder]/containerd.sock` (there is no such socket)
    lxd at unix://[folder]/lxd.sock: cannot connect to `unix://[folder]/lxd.sock` (there is no such socket)
    embedded at /dev/null/store: cannot keep images in `/dev/null/store` (`/dev/null` is not a folder)

help: repair one of them; `boxwright engines` says how for each
");
    assert_snapshot!(home.real(&["images", "--engine", "podman"]), @r"
exit code 3
--- stdout
--- stderr
error: the engine `podman` is not ready
  caused by: podman at unix://[folder]/podman.sock: cannot connect to `unix://[folder]/podman.sock` (there is no such socket)
  set by: --engine

help: start it: `podman system service --time 0 unix://[folder]/podman.sock &`, or correct CONTAINER_HOST
");
    assert_snapshot!(home.real(&["images", "--engine", "lxd"]), @r"
exit code 3
--- stdout
--- stderr
error: the engine `lxd` is not ready
  caused by: lxd at unix://[folder]/lxd.sock: cannot connect to `unix://[folder]/lxd.sock` (there is no such socket)
  set by: --engine

help: start LXD or Incus, or correct LXD_SOCKET
");
}

#[test]
fn a_stale_socket_says_that_nobody_listens() {
    let home = home_with("docker.sock", "podman.sock");
    for name in ["docker.sock", "podman.sock"] {
        drop(UnixListener::bind(home.path(name)).unwrap());
    }
    assert_snapshot!(home.real(&["images", "--engine", "docker"]), @r"
exit code 3
--- stdout
--- stderr
error: the engine `docker` is not ready
  caused by: docker at unix://[folder]/docker.sock: cannot connect to `[folder]/docker.sock` (nothing listens on it: it was left behind by a service that ended)
  set by: --engine

help: start the service again
");
    assert_snapshot!(home.real(&["images", "--engine", "podman"]), @r"
exit code 3
--- stdout
--- stderr
error: the engine `podman` is not ready
  caused by: podman at unix://[folder]/podman.sock: cannot connect to `[folder]/podman.sock` (nothing listens on it: it was left behind by a service that ended)
  set by: --engine

help: start it again: `podman system service --time 0 unix://[folder]/podman.sock &`
");
}

#[test]
fn a_socket_closed_to_the_user_says_who_may() {
    let home = home_with("docker.sock", "podman.sock");
    let listen = |name: &str| {
        let listener = UnixListener::bind(home.path(name)).unwrap();
        std::fs::set_permissions(home.path(name), std::fs::Permissions::from_mode(0o000)).unwrap();
        listener
    };
    let _listeners = (listen("docker.sock"), listen("podman.sock"));
    for engine in ["docker", "podman"] {
        let run = as_ordinary_user(&home, &["images", "--engine", engine]);
        assert_eq!((run.code, run.stdout.as_str()), (3, ""), "{run}");
        assert!(run.stderr.to_lowercase().contains("permission denied"), "{run}");
        assert!(run.stderr.contains("help: "), "{run}");
    }
}

#[test]
fn a_hanging_daemon_does_not_hold_the_others_up() {
    let home = home_with("docker.sock", "podman.sock");
    // Connections are taken by the kernel and never answered.
    let listen = |name: &str| UnixListener::bind(home.path(name)).unwrap();
    let _listeners = (listen("docker.sock"), listen("podman.sock"));
    let start = Instant::now();
    let run = home.real(&["engines", "--format", "json"]);
    assert!(start.elapsed() < Duration::from_millis(3_500), "{:?}", start.elapsed());
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    let states: Vec<String> = value["engines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{} {}", it["engine"], it["state"]).replace('"', ""))
        .collect();
    assert_eq!(
        states,
        [
            "docker unusable",
            "podman unusable",
            "containerd unusable",
            "lxd unusable",
            "embedded unusable"
        ]
    );
    for engine in &value["engines"].as_array().unwrap()[..2] {
        assert!(engine["remedy"].is_string(), "{run}");
    }
    assert_eq!(value["chosen"], Value::Null);
    assert_snapshot!(home.real(&["images", "--engine", "docker"]), @r"
exit code 3
--- stdout
--- stderr
error: the engine `docker` is not ready
  caused by: docker at unix://[folder]/docker.sock: no answer from `unix://[folder]/docker.sock` within two seconds (it took the connection, or its address is out of reach, and stays silent)
  set by: --engine

help: see the daemon's log; restart it if it hangs
");
}

/// Returns a home with a program in `bin` that comes first in `PATH`, records its start, and never ends.
fn home_with_hanging(program: &str) -> Home {
    let text = "#!/bin/sh\necho started > \"$HOME/started\"\nsleep 600\n";
    let home = Home::new().file(&format!("bin/{program}"), text);
    let file = home.path(&format!("bin/{program}"));
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", home.path("bin").display());
    let missing = format!("unix://{}", home.path("no.sock").display());
    let home = home.variable("PATH", path).variable("CONTAINERD_ADDRESS", &missing);
    home.variable("LXD_SOCKET", "/nonexistent").variable("BOXWRIGHT_STORE", "/dev/null/store")
}

/// Returns the programs that run with this home: those that a run has left behind.
fn left_behind(home: &Home) -> Vec<String> {
    let mark = format!("HOME={}", home.path("").display());
    let mark = mark.trim_end_matches('/');
    let mut left = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        // One that has ended meanwhile, or is somebody else's, cannot be read.
        let Ok(environment) = std::fs::read(process.path().join("environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            left.push(String::from_utf8_lossy(&line).replace('\0', " "));
        }
    }
    left
}

/// Surveys all engines, in less than the promised time, and returns the facts.
fn survey_in_time(home: &Home) -> Value {
    let start = Instant::now();
    let run = home.real(&["engines", "--format", "json"]);
    let took = start.elapsed();
    // 2.2 s is promised; the rest is for a machine that has much else to do.
    assert!(took < Duration::from_millis(3_500), "{took:?}");
    assert!(home.path("started").exists(), "{run}");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !left_behind(home).is_empty() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(left_behind(home), Vec::<String>::new(), "{run}");
    serde_json::from_str(&run.stdout).unwrap()
}

/// Returns what was said of `engine` at a place that has `at` in it.
fn answer<'a>(survey: &'a Value, engine: &str, at: &str) -> &'a Value {
    let all = survey["engines"].as_array().unwrap();
    let mut found = all.iter().filter(|it| it["engine"] == engine);
    let is_there = |it: &&Value| {
        let place = it["endpoint"].as_str().or(it["place"].as_str());
        place.is_some_and(|place| place.contains(at))
    };
    found.find(is_there).unwrap_or_else(|| panic!("no {engine} at {at}: {survey:#}"))
}

#[test]
fn an_ssh_that_hangs_is_given_two_seconds_and_leaves_nothing_behind() {
    let missing = "unix:///nonexistent.sock";
    let far = "ssh://dev@far.example:2222";
    let home = home_with_hanging("ssh").variable("DOCKER_HOST", far);
    let survey = survey_in_time(&home.variable("CONTAINER_HOST", missing));
    let docker = answer(&survey, "docker", far);
    assert_eq!(docker["message"], format!("no answer from `{far}` within two seconds"));
    assert_eq!(docker["remedy"], "see what is wrong by hand: `ssh -p 2222 dev@far.example true`");
    let home = home_with_hanging("ssh").variable("CONTAINER_HOST", far);
    let survey = survey_in_time(&home.variable("DOCKER_HOST", missing));
    let podman = answer(&survey, "podman", far);
    assert_eq!(podman["message"], "no answer within two seconds");
    assert_eq!(podman["remedy"], docker["remedy"]);
}

#[test]
fn a_docker_context_and_a_podman_connection_over_ssh_that_hang_hide_nothing() {
    let home = home_with_hanging("ssh");
    let home = home
        .file(
            ".docker/contexts/meta/1/meta.json",
            r#"{"Name":"far","Endpoints":{"docker":{"Host":"ssh://far"}}}"#,
        )
        .file(".docker/config.json", r#"{"currentContext":"far"}"#)
        .file(
            ".config/containers/podman-connections.json",
            r#"{"Connection":{"Default":"box","Connections":{"box":{"URI":"ssh://box/p.sock"}}}}"#,
        );
    let survey = survey_in_time(&home);
    assert_eq!(answer(&survey, "docker", "ssh://far")["state"], "unusable");
    assert_eq!(answer(&survey, "podman", "ssh://box/p.sock")["state"], "unusable");
    // What else was asked is told, too: the program, unless a service of this machine is ready.
    answer(&survey, "podman", "/run/podman/podman.sock");
    let mut podman = survey["engines"].as_array().unwrap().iter();
    let has_more = podman.any(|it| {
        let is_program = it["place"].as_str().is_some_and(|it| it.starts_with("the program"));
        it["engine"] == "podman" && (is_program || it["state"] == "ready")
    });
    assert!(has_more, "{survey:#}");
}

#[test]
fn a_podman_program_that_hangs_is_given_two_seconds_and_leaves_nothing_behind() {
    let home = home_with_hanging("podman").variable("DOCKER_HOST", "unix:///nonexistent.sock");
    let survey = survey_in_time(&home);
    let program = answer(&survey, "podman", "the program `podman`");
    assert_eq!(program["state"], "unusable");
    assert!(program["message"].as_str().unwrap().ends_with("did not end"), "{program}");
}

#[test]
fn something_else_on_the_socket_is_named_as_such() {
    let home = home_with("docker.sock", "podman.sock");
    let listener = UnixListener::bind(home.path("docker.sock")).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut request = [0; 1024];
            // Whatever was asked: this is no container engine.
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
        }
    });
    let run = home.real(&["images", "--engine", "docker"]);
    assert_eq!(run.code, 3, "{run}");
    assert!(run.stderr.contains("docker.sock"), "{run}");
}

#[test]
fn an_address_that_is_none_is_refused() {
    let wrong = home().variable("DOCKER_HOST", "docker.local");
    assert_snapshot!(wrong.real(&["images", "--engine", "docker"]), @r"
exit code 3
--- stdout
--- stderr
error: the engine `docker` is not ready
  caused by: docker at DOCKER_HOST: `docker.local` is not an endpoint (it has no scheme)
  set by: --engine

help: write it as `unix:///PATH`, `tcp://HOST:PORT` or `ssh://USER@HOST:PORT/PATH`
");
    let refused = home().variable("DOCKER_HOST", "tcp://127.0.0.1:1");
    assert_snapshot!(refused.real(&["images", "--engine", "docker"]), @r"
exit code 3
--- stdout
--- stderr
error: the engine `docker` is not ready
  caused by: docker at tcp://127.0.0.1:[port]: cannot reach `tcp://127.0.0.1:[port]` (Connection refused)
  set by: --engine

help: start the engine's service, or correct the port
");
    assert_snapshot!(home().real(&["images", "--engine", "podman", "--endpoint", "unix:///no/such.sock"]), @r"
exit code 3
--- stdout
--- stderr
error: the engine `podman` is not ready
  caused by: podman at unix:///no/such.sock: cannot connect to `unix:///no/such.sock` (there is no such socket)
  set by: --engine

help: start it: `podman system service --time 0 unix:///no/such.sock &`, or correct setting `engine.podman.host`
");
}

#[test]
fn with_no_daemon_the_embedded_engine_builds() {
    let home = home().file("app/Dockerfile", "FROM scratch\nCOPY file /\n").file("app/file", "x");
    let store = home.path("store").display().to_string();
    let socket = format!("unix://{}", home.path("no.sock").display());
    let home = home
        .variable("BOXWRIGHT_STORE", store)
        .variable("CONTAINERD_ADDRESS", &socket)
        .variable("DOCKER_HOST", &socket)
        .variable("CONTAINER_HOST", &socket);
    let run = home.real(&["build", "app", "-t", "localhost/a:1", "--iidfile", "id"]);
    assert_eq!(run.code, 0, "{run}");
    assert!(run.stderr.contains("building with embedded"), "{run}");
    let id = std::fs::read_to_string(home.path("id")).unwrap();
    let images = home.real(&["images", "--format", "json"]);
    let value: Value = serde_json::from_str(&images.stdout).unwrap();
    assert_eq!(value[0]["id"], id.trim(), "{images}");
    assert_eq!(value[0]["names"], serde_json::json!(["localhost/a:1"]), "{images}");
}

#[test]
fn a_step_whose_program_is_not_in_the_image_says_which_on_the_embedded_engine() {
    let home = home().file("app/Dockerfile", "FROM scratch\nRUN true\n");
    let store = home.path("store").display().to_string();
    let run =
        home.variable("BOXWRIGHT_STORE", store).real(&["build", "app", "--engine", "embedded"]);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stderr.contains("cannot run `/bin/sh`: No such file or directory"), "{run}");
    assert!(run.stderr.contains("exit code: 127"), "{run}");
}
