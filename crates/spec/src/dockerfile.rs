//! A specification as a Dockerfile.

use crate::model::ImageSpec;
use crate::python::{self, VENV, sh, texts};
use crate::requirements::Installed;
use crate::words::{env, json};

/// The user that owns what is copied, and that containers run as.
const USER: &str = "flytekit";

/// What the instructions depend on, beside the fields.
pub(crate) struct Parts<'a> {
    pub(crate) base: &'a str,
    pub(crate) micromamba: &'a str,
    pub(crate) installed: Installed,
    /// Folders of the context that are copied to `/root`.
    pub(crate) copied: &'a [&'a str],
}

/// Writes the Dockerfile: one instruction a line.
pub(crate) fn write(spec: &ImageSpec, parts: &Parts<'_>) -> String {
    let mut lines = Vec::new();
    let uses_conda = python::uses_conda(spec);
    if uses_conda {
        lines.push(format!("FROM {} AS micromamba", parts.micromamba));
    }
    lines.push(format!("FROM {}", parts.base));
    lines.push("USER 0".into());
    lines.push("WORKDIR /".into());
    if let Some(packages) = spec.apt_packages.as_ref().filter(|it| !it.is_empty()) {
        let script = format!(
            "apt-get update\napt-get install -y --no-install-recommends {}\nrm -rf /var/lib/apt/lists/*\n",
            packages.join(" ")
        );
        lines.push(format!("RUN {}", sh(&script)));
    }
    // An image without programs for it gets the user as these write it.
    let user = format!(
        "id -u {USER} >/dev/null 2>&1 || useradd --create-home {USER} 2>/dev/null || adduser -D {USER} 2>/dev/null || {{\n    \
         echo '{USER}:x:10001:10001::/home/{USER}:/bin/sh' >>/etc/passwd\n    \
         echo '{USER}:x:10001:' >>/etc/group\n    \
         mkdir -p /home/{USER}\n    chown 10001:10001 /home/{USER}\n}}\n\
         mkdir -p /root\nchown {USER} /root\nchmod 755 /root\n"
    );
    lines.push(format!("RUN {}", sh(&user)));
    let has_python = python::is_needed(spec, parts.installed);
    if uses_conda {
        lines.push(python::make_by_conda(spec));
    } else if has_python {
        lines.push(python::make(spec));
    }
    let mut variables = vec![("PYTHONPATH".to_owned(), "\"/root\"".to_owned())];
    if has_python {
        variables.push(("PATH".to_owned(), format!("\"{VENV}/bin:$PATH\"")));
    }
    lines.push(set(&variables));
    lines.extend(python::install(spec, parts.installed));
    let own: Vec<_> =
        spec.env.iter().flatten().map(|(name, value)| (name.clone(), env(value))).collect();
    if !own.is_empty() {
        lines.push(set(&own));
    }
    for folder in parts.copied {
        let words = texts(&[&format!("{folder}/"), "/root/"]);
        lines.push(format!("COPY --chown={USER} {}", json(&words)));
    }
    if let Some(commands) = spec.commands.as_ref().filter(|it| !it.is_empty()) {
        lines.push(format!("RUN {}", sh(&(commands.join("\n") + "\n"))));
    }
    if let Some(entrypoint) = &spec.entrypoint {
        lines.push(format!("ENTRYPOINT {}", json(entrypoint)));
    }
    lines.push("WORKDIR /root".into());
    lines.push(format!("USER {USER}"));
    lines.join("\n") + "\n"
}

fn set(variables: &[(String, String)]) -> String {
    let pairs: Vec<String> =
        variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("ENV {}", pairs.join(" "))
}
