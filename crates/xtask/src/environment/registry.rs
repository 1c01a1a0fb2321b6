//! The registries of an environment: open, with a password, with TLS, and with a token server.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use super::certificates::Certificates;
use super::daemon::{Daemon, Ready, tied};
use super::layout::Layout;
use super::setup::{Authentication, Registry};
use super::state::State;
use crate::problem::{Explain, Result};
use crate::program::this_program;

/// The one user of the registries that have users.
pub(crate) const USER: &str = "tester";
/// Its password. It differs in the two base64 alphabets, so that a client that mixes them up is refused.
pub(crate) const PASSWORD: &str = "secret>>>???~~~";
/// The password's bcrypt hash, the only kind that `docker-registry` takes.
const PASSWORD_HASH: &str = "$2y$05$bW4HnJ0xwrightT3stSaleYZDpNxPg1JT6b6vEd2uGjPTtKca5ave";
/// Who the token server says it is, and which service it is for.
const ISSUER: &str = "boxwright-tests";

/// Where the registries of an environment are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registries {
    /// `localhost:PORT` by the last part of the setup's name, such as `open`.
    pub(crate) addresses: BTreeMap<String, String>,
    /// The ones that speak TLS.
    pub(crate) tls: Vec<String>,
    /// What the ones that speak TLS are verified with.
    pub(crate) authority: PathBuf,
}

/// Starts the registries in `setups`, by name.
pub(crate) fn start(
    setups: &[(String, Registry)],
    layout: &Layout,
    state: &mut State,
) -> Result<(Vec<Daemon>, Registries)> {
    let certificates = if setups.iter().any(|(_, setup)| setup.tls || uses_tokens(setup)) {
        Some(Certificates::make(&layout.path("certificates"))?)
    } else {
        None
    };
    let passwords = layout.path("htpasswd");
    fs::write(&passwords, format!("{USER}:{PASSWORD_HASH}\n"))
        .explain(|| format!("cannot write `{}`", passwords.display()))?;

    // One port more, for the token server.
    let ports = free_ports(setups.len() + 1)?;
    let token_server = format!("127.0.0.1:{}", ports[setups.len()]);
    let mut registries = Registries::default();
    let mut daemons = Vec::new();
    for ((name, setup), port) in setups.iter().zip(&ports) {
        let short = name.rsplit('/').next().unwrap_or(name).to_owned();
        let mut config = base_config(layout, &short, *port);
        if let (true, Some(certificates)) = (setup.tls, &certificates) {
            let (certificate, key) = (certificates.server(), certificates.server_key());
            config.push_str(&format!(
                "  tls: {{certificate: {}, key: {}}}\n",
                certificate.display(),
                key.display()
            ));
            registries.tls.push(format!("localhost:{port}"));
            registries.authority = certificates.authority();
        }
        match (setup.authentication, &certificates) {
            (Authentication::Htpasswd, _) => config.push_str(&format!(
                "auth: {{htpasswd: {{realm: boxwright, path: {}}}}}\n",
                passwords.display()
            )),
            (Authentication::Token, Some(certificates)) => config.push_str(&format!(
                "auth: {{token: {{realm: \"http://{token_server}/token\", service: {ISSUER}, \
                 issuer: {ISSUER}, rootcertbundle: {}}}}}\n",
                certificates.signer().display()
            )),
            (Authentication::Token | Authentication::None, _) => {}
        }
        let file = layout.path(&format!("registry-{short}.yml"));
        fs::write(&file, config).explain(|| format!("cannot write `{}`", file.display()))?;
        // It takes every variable that begins with REGISTRY as a setting, hence no environment.
        let program = tied(&[], "docker-registry").arg("serve").arg(&file);
        let address = format!("127.0.0.1:{port}");
        let ready = if setup.tls {
            Ready::Accept(address)
        } else {
            Ready::Answer(address, "/v2/", &[200, 401])
        };
        daemons.push(Daemon::start(name, program, ready, layout, state)?);
        registries.addresses.insert(short, format!("localhost:{port}"));
    }
    if let (Some(certificates), true) = (&certificates, setups.iter().any(|(_, s)| uses_tokens(s)))
    {
        let this = this_program()?;
        let program = tied(&[], &this.to_string_lossy())
            .args(["token-server", "--address", &token_server, "--issuer", ISSUER])
            .arg("--key")
            .arg(certificates.signer_key())
            .arg("--certificate")
            .arg(certificates.signer())
            .args(["--user", USER, "--password", PASSWORD]);
        let ready = Ready::Answer(token_server, "/token", &[200]);
        daemons.push(Daemon::start("token-server", program, ready, layout, state)?);
    }
    Ok((daemons, registries))
}

fn uses_tokens(setup: &Registry) -> bool {
    setup.authentication == Authentication::Token
}

fn base_config(layout: &Layout, name: &str, port: u16) -> String {
    let folder = layout.path("registry").join(name);
    format!(
        "version: 0.1\n\
         log: {{level: warn, accesslog: {{disabled: true}}}}\n\
         storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
         http:\n  addr: 127.0.0.1:{port}\n  secret: boxwright-{name}\n",
        folder.display()
    )
}

/// Returns `count` ports of the loopback interface that nothing listens on.
pub(crate) fn free_ports(count: usize) -> Result<Vec<u16>> {
    let find = || -> std::io::Result<Vec<u16>> {
        // All are held until the last one is found, so that none is found twice.
        let listeners: Vec<TcpListener> =
            (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
        listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
    };
    find().explain(|| "cannot find a free port on 127.0.0.1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::free_ports;

    #[test]
    fn free_ports_are_all_different() {
        let mut ports = free_ports(6).unwrap();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 6);
    }
}
