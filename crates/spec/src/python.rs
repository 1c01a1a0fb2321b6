//! The steps that bring Python and its packages.

use crate::model::ImageSpec;
use crate::requirements::Installed;
use crate::words::{json, shell, split};

/// Where the image's own Python is.
pub(crate) const VENV: &str = "/opt/venv";

/// Returns whether an image needs a Python of its own.
pub(crate) fn is_needed(spec: &ImageSpec, installed: Installed) -> bool {
    installed != Installed::Nothing
        || spec.python_version.is_some()
        || spec.python_exec.is_some()
        || uses_conda(spec)
        || spec.base_image.is_none()
}

pub(crate) fn uses_conda(spec: &ImageSpec) -> bool {
    let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|it| !it.is_empty());
    some(&spec.conda_packages) || some(&spec.conda_channels)
}

/// Looks for a Python of the version, takes that of Debian where there is none, and makes a virtual environment of it.
const MAKE: &str = r#"
find_python() {
    for name in $wanted; do
        python=$(command -v "$name") || continue
        found=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])') || continue
        case "$version" in ''|"$found") return 0 ;; esac
        case "$found" in "$version".*) return 0 ;; esac
    done
    return 1
}
install() {
    command -v apt-get >/dev/null || return 1
    apt-get update && apt-get install -y --no-install-recommends "$@" && rm -rf /var/lib/apt/lists/*
}
find_python || { install python3 python3-venv && find_python; } || {
    echo "boxwright: the base image has no Python $version, and Debian has none for it" >&2
    echo "help: name a base image that has it, such as docker.io/library/python:${version:-3.12}-slim-bookworm" >&2
    exit 1
}
"$python" -c 'import ensurepip, venv' 2>/dev/null || install python3-venv
"$python" -m venv $options /opt/venv
"#;

/// Makes the image's own Python: from the base image, else from Debian's packages.
pub(crate) fn make(spec: &ImageSpec) -> String {
    let version = spec.python_version.as_deref().unwrap_or_default();
    let short = version.split('.').take(2).collect::<Vec<_>>().join(".");
    let (wanted, options) = match &spec.python_exec {
        Some(path) => (shell(path), "--system-site-packages"),
        None if short.is_empty() => ("'python3 python'".to_owned(), ""),
        None => (format!("'python{short} python3 python'"), ""),
    };
    let head = format!("version={} wanted={wanted} options={options}\n", shell(version));
    format!("RUN {}", sh(&(head + MAKE.trim_start())))
}

/// Makes the image's own Python with packages of conda.
pub(crate) fn make_by_conda(spec: &ImageSpec) -> String {
    let mut words = texts(&["/usr/bin/micromamba", "create", "--yes", "--prefix", VENV]);
    words.extend(texts(&["--channel", "conda-forge"]));
    for channel in spec.conda_channels.iter().flatten() {
        words.extend(texts(&["--channel", channel]));
    }
    words.push(match &spec.python_version {
        Some(version) => format!("python={version}"),
        None => "python".to_owned(),
    });
    words.push("pip".to_owned());
    words.extend(spec.conda_packages.iter().flatten().cloned());
    let mount =
        "--mount=type=bind,from=micromamba,source=/usr/bin/micromamba,target=/usr/bin/micromamba";
    format!("RUN {mount} {}", json(&words))
}

/// Installs packages.
pub(crate) fn install(spec: &ImageSpec, installed: Installed) -> Option<String> {
    let bind = |name: &str, to: &str| format!("--mount=type=bind,source={name},target={to} ");
    let secrets = spec.pip_secret_mounts.iter().flatten().enumerate();
    let secrets: String = secrets
        .map(|(at, (_, target))| {
            format!("--mount=type=secret,id=secret_{at},target={target},required=true ")
        })
        .collect();
    let (mounts, command) = match installed {
        Installed::Nothing => return None,
        Installed::Requirements => {
            let file = "/tmp/boxwright-requirements.txt";
            let mut words = texts(&["/opt/venv/bin/python", "-m", "pip", "install"]);
            words.extend(texts(&["--no-cache-dir", "--disable-pip-version-check"]));
            words.extend(indexes(spec));
            words.extend(extra(spec));
            words.extend(texts(&["--requirement", file]));
            (bind("requirements.txt", file), json(&words))
        }
        Installed::UvLock => {
            let mut words = texts(&["/tmp/boxwright-uv/bin/uv", "sync", "--locked", "--no-dev"]);
            words.extend(texts(&["--no-install-project", "--no-cache"]));
            words.extend(uv_indexes(spec));
            words.extend(extra(spec));
            let environment = "UV_PROJECT_ENVIRONMENT=/opt/venv UV_LINK_MODE=copy UV_PYTHON=/opt/venv/bin/python ";
            (project("uv.lock"), by_tool(spec, "uv", environment, &words))
        }
        Installed::PoetryLock => {
            let mut words = texts(&["/tmp/boxwright-poetry/bin/poetry", "install", "--no-root"]);
            words.extend(extra(spec));
            let environment = "VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH POETRY_CACHE_DIR=/tmp/boxwright-poetry/cache ";
            (project("poetry.lock"), by_tool(spec, "poetry", environment, &words))
        }
    };
    Some(format!("RUN {mounts}{secrets}{command}"))
}

fn project(lock: &str) -> String {
    let bind = |name: &str| {
        format!("--mount=type=bind,source={name},target=/tmp/boxwright-project/{name} ")
    };
    bind(lock) + &bind("pyproject.toml")
}

/// Runs a tool that comes from its package, and is gone afterwards.
fn by_tool(spec: &ImageSpec, tool: &str, environment: &str, words: &[String]) -> String {
    let folder = format!("/tmp/boxwright-{tool}");
    let mut pip = texts(&["--no-cache-dir", "--disable-pip-version-check"]);
    pip.extend(indexes(spec));
    pip.push(tool.to_owned());
    let quoted =
        |words: &[String]| words.iter().map(|word| shell(word)).collect::<Vec<_>>().join(" ");
    sh(&format!(
        "/opt/venv/bin/python -m venv {folder}\n\
         {folder}/bin/python -m pip install {}\n\
         cd /tmp/boxwright-project\n\
         {environment}{}\n\
         rm -rf {folder}\n",
        quoted(&pip),
        quoted(words)
    ))
}

fn indexes(spec: &ImageSpec) -> Vec<String> {
    let index = spec.pip_index.iter().flat_map(|url| texts(&["--index-url", url]));
    let extra = spec.pip_extra_index_url.iter().flatten();
    index.chain(extra.flat_map(|url| texts(&["--extra-index-url", url]))).collect()
}

fn uv_indexes(spec: &ImageSpec) -> Vec<String> {
    let index = spec.pip_index.iter().flat_map(|url| texts(&["--default-index", url]));
    let extra = spec.pip_extra_index_url.iter().flatten();
    index.chain(extra.flat_map(|url| texts(&["--index", url]))).collect()
}

/// What the check found well-formed.
fn extra(spec: &ImageSpec) -> Vec<String> {
    spec.pip_extra_args.as_deref().and_then(split).unwrap_or_default()
}

/// Runs a script, up to its first command that fails.
pub(crate) fn sh(script: &str) -> String {
    json(&texts(&["/bin/sh", "-e", "-c", script]))
}

pub(crate) fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
