//! Daemons that are reached from afar: through a real sshd, and over TCP.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use super::stage::{Stage, until};
use super::{Fault, expect};
use crate::environment::certificates::Certificates;
use crate::packages::{self, Need};
use crate::problem::{Explain, Problem, Result};
use crate::program::{Program, find, search_path};

pub(super) const FAULTS: &[Fault] = &[
    Fault {
        name: "docker/through-ssh",
        setups: &["docker", "registry/open"],
        disk: None,
        check: |stage| through_ssh(stage, "docker", "DOCKER_HOST"),
    },
    Fault {
        name: "podman/through-ssh",
        setups: &["podman/root", "registry/open"],
        disk: None,
        check: |stage| through_ssh(stage, "podman", "CONTAINER_HOST"),
    },
    Fault {
        name: "podman/over-tcp",
        setups: &["podman/root", "registry/open"],
        disk: None,
        check: over_tcp,
    },
    Fault {
        name: "podman/over-tls",
        setups: &["podman/root", "registry/open"],
        disk: None,
        check: over_tls,
    },
];

/// Builds and runs through an sshd of our own; a key that it does not know is refused with a remedy.
fn through_ssh(stage: &Stage, engine: &str, variable: &str) -> Result<()> {
    let (programs, packages) = (
        ["sshd".to_owned(), "ssh".to_owned()],
        ["openssh-server".to_owned(), "openssh-client".to_owned()],
    );
    packages::ensure(&[Need { programs: &programs, packages: &packages }])?;
    let port = free_port()?;
    for key in ["host", "client", "stranger"] {
        Program::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(stage.path(key))
            .output()?;
    }
    let public = |key: &str| {
        let path = stage.path(&format!("{key}.pub"));
        std::fs::read_to_string(&path).explain(|| format!("cannot read `{}`", path.display()))
    };
    stage.write("authorized", public("client")?)?;
    stage.write("known", format!("[127.0.0.1]:{port} {}", public("host")?))?;
    let shown = |name: &str| stage.path(name).display().to_string();
    let sshd = stage.write(
        "sshd_config",
        format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\nPidFile none\nSetEnv PATH={}\n",
            shown("host"),
            shown("authorized"),
            search_path(),
        ),
    )?;
    let daemon = find("sshd").ok_or_else(|| Problem::new("`sshd` is not installed"))?;
    // It refuses to start without this folder; nothing of ours is in it.
    std::fs::create_dir_all("/run/sshd").explain(|| "cannot make `/run/sshd`".to_owned())?;
    let tied = Program::new("setpriv").args(["--pdeathsig", "KILL", "--"]);
    let running = stage.start(tied.arg(daemon).args(["-D", "-e", "-f"]).arg(sshd))?;
    let outcome = (|| {
        expect(until(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()), || {
            format!("sshd does not listen:\n{}", running.text())
        })?;
        let socket = stage.variable(variable)?.trim_start_matches("unix://").to_owned();
        let far = format!("ssh://root@127.0.0.1:{port}{socket}");
        wrapper(stage, "client")?;
        stage.context("RUN echo far > /file\n")?;
        let run = |arguments: &[&str]| {
            let path = format!("{}:{}", stage.path("bin").display(), search_path());
            let program =
                stage.boxwright(arguments).variable(variable, &far).variable("PATH", path);
            stage.start(program)?.end()
        };
        let good = |arguments: &[&str], text: &str| {
            let ended = run(arguments)?;
            expect(ended.code == Some(0) && ended.text.contains(text), || {
                format!("{arguments:?}: {ended:?}")
            })
        };
        good(&["engines", "--engine", engine], &far)?;
        good(&["build", "--engine", engine, "-t", "far:1", "app"], "built ")?;
        good(&["run", "--engine", engine, "far:1", "cat", "/file"], "far\n")?;
        wrapper(stage, "stranger")?;
        let refused = run(&["images", "--engine", engine])?;
        expect(refused.code == Some(3) && refused.text.contains("ssh-add"), || {
            format!("{refused:?}")
        })
    })();
    running.kill()?;
    outcome
}

/// Writes an `ssh` that takes its keys from this stage and from nowhere else.
fn wrapper(stage: &Stage, key: &str) -> Result<()> {
    let ssh = find("ssh").ok_or_else(|| Problem::new("`ssh` is not installed"))?;
    let path = stage.write(
        "bin/ssh",
        format!(
            "#!/bin/sh\nexec {} -F none -o UserKnownHostsFile={} -o IdentitiesOnly=yes -o IdentityAgent=none -i {} \"$@\"\n",
            ssh.display(),
            stage.path("known").display(),
            stage.path(key).display(),
        ),
    )?;
    let run = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, run).explain(|| format!("cannot change `{}`", path.display()))
}

/// Builds over Podman's plain TCP endpoint, which has no protection and is named so.
fn over_tcp(stage: &Stage) -> Result<()> {
    let port = free_port()?;
    let address = format!("tcp://127.0.0.1:{port}");
    let service = stage.podman_beside(&address)?;
    let running = stage.start(service)?;
    let outcome = (|| {
        expect(until(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()), || {
            format!("the service does not listen:\n{}", running.text())
        })?;
        stage.context("RUN echo far > /file\n")?;
        let run = |arguments: &[&str]| {
            stage.start(stage.boxwright(arguments).variable("CONTAINER_HOST", &address))?.end()
        };
        let built = run(&["build", "--engine", "podman", "-t", "far:1", "app"])?;
        expect(built.code == Some(0), || format!("{built:?}"))?;
        let ran = run(&["run", "--engine", "podman", "far:1", "cat", "/file"])?;
        expect(ran.code == Some(0) && ran.text.contains("far\n"), || format!("{ran:?}"))
    })();
    running.kill()?;
    outcome
}

/// Builds over TLS with certificates on both sides. Podman serves TLS since 5.7 only, so a proxy stands before it.
fn over_tls(stage: &Stage) -> Result<()> {
    let (programs, packages) =
        (["socat", "openssl"].map(str::to_owned), ["socat", "openssl"].map(str::to_owned));
    packages::ensure(&[Need { programs: &programs, packages: &packages }])?;
    let files = Certificates::make(&stage.folder("tls")?)?;
    let port = free_port()?;
    let socket = stage.variable("CONTAINER_HOST")?.trim_start_matches("unix://").to_owned();
    let listen = format!(
        "OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,cert={},key={},cafile={},verify=1",
        files.server().display(),
        files.server_key().display(),
        files.authority().display(),
    );
    let tied = Program::new("setpriv").args(["--pdeathsig", "KILL", "--", "socat"]);
    let running = stage.start(tied.arg(listen).arg(format!("UNIX-CONNECT:{socket}")))?;
    let outcome = (|| {
        expect(until(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()), || {
            format!("the proxy does not listen:\n{}", running.text())
        })?;
        stage.context("RUN echo far > /file\n")?;
        let far = |arguments: &[&str], variable: &str| {
            let program = stage.boxwright(arguments);
            program.variable(variable, format!("tcp://localhost:{port}"))
        };
        let bare = |arguments: &[&str]| {
            let program = far(arguments, "CONTAINER_HOST");
            program.variable("CONTAINER_TLS_CA", files.authority())
        };
        let run = |arguments: &[&str]| {
            let program = bare(arguments).variable("CONTAINER_TLS_CERT", files.client());
            stage.start(program.variable("CONTAINER_TLS_KEY", files.client_key()))?.end()
        };
        for builder in ["native", "portable"] {
            let name = format!("far:{builder}");
            let build = ["build", "--engine", "podman", "--builder", builder, "-t", &name, "app"];
            let built = run(&build)?;
            expect(built.code == Some(0), || format!("{built:?}"))?;
            let ran = run(&["run", "--engine", "podman", &name, "cat", "/file"])?;
            expect(ran.code == Some(0) && ran.text.contains("far\n"), || format!("{ran:?}"))?;
        }
        let refused = stage.start(bare(&["images", "--engine", "podman"]))?.end()?;
        expect(refused.code == Some(3) && refused.text.contains("CONTAINER_TLS_CERT"), || {
            format!("{refused:?}")
        })
    })();
    running.kill()?;
    outcome
}

fn free_port() -> Result<u16> {
    let found = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(found.explain(|| "cannot find a free port".to_owned())?.port())
}
