//! What the values of fields must be.

use boxwright_core::{ImageRef, Platform};

use crate::model::{Base, ImageSpec};
use crate::problem::Problem;
use crate::words;

/// Checks every field. `within` stands before its name.
pub(crate) fn fields(spec: &ImageSpec, within: &str, problems: &mut Vec<Problem>) {
    let mut say = |name: &str, what: String, remedy: &str| {
        problems.push(Problem::new(format!("`{within}{name}` {what}"), remedy));
    };
    if let Some(registry) = &spec.registry {
        if let Some((_, rest)) = registry.split_once("://") {
            let rest = rest.trim_end_matches('/');
            let remedy = format!("leave the scheme out: `{rest}`");
            say("registry", format!("is an address: `{registry}`"), &remedy);
        } else if !format!("{}/a", registry.to_lowercase())
            .parse::<ImageRef>()
            .is_ok_and(|_| !has_tag(registry))
        {
            let remedy = "write it as `ghcr.io/acme` or `localhost:5000`";
            say("registry", format!("is no registry: `{registry}`"), remedy);
        }
    }
    for (name, value) in [("cuda", &spec.cuda), ("cudnn", &spec.cudnn)] {
        if value.is_some() {
            let remedy =
                "name a `base_image` that has it, or add a package of PyPI or conda that brings it";
            say(name, "cannot be installed by itself".into(), remedy);
        }
    }
    if let Some(name) = &spec.name
        && (name.contains([':', '@'])
            || format!("a.b/{}", name.to_lowercase()).parse::<ImageRef>().is_err())
    {
        say(
            "name",
            format!("is no name of an image: `{name}`"),
            "use letters, digits, `-`, `_`, `.` and `/`",
        );
    }
    if let Some(version) = &spec.python_version
        && !(version.starts_with("3.")
            && version.split('.').count() <= 3
            && version.split('.').all(is_number))
    {
        say(
            "python_version",
            format!("is no version of Python: `{version}`"),
            "write it as `3.12`",
        );
    }
    if spec.python_exec.is_some()
        && (spec.conda_packages.is_some() || spec.conda_channels.is_some())
    {
        let remedy = "leave `python_exec` out, or the packages and channels of conda";
        say("python_exec", "and packages of conda exclude each other".into(), remedy);
    }
    if let Some(path) = &spec.python_exec
        && !path.starts_with('/')
    {
        say(
            "python_exec",
            format!("is no absolute path: `{path}`"),
            "write it as `/usr/bin/python3`",
        );
    }
    let platforms = spec.platform.iter().flat_map(|it| it.split(','));
    for platform in platforms {
        if platform.trim().parse::<Platform>().is_err() {
            say("platform", format!("is no platform: `{platform}`"), "write it as `linux/amd64`");
        }
    }
    for (name, value) in spec.env.iter().flatten() {
        let field = format!("env.{name}");
        let mut bytes = name.bytes();
        let sound = bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !sound || name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
            say(&field, "is no name of a variable".into(), "use letters, digits and `_`");
        }
        if value.contains(['\n', '\r']) {
            let remedy = "keep it on one line, or set it by a file that `copy` brings";
            say(&field, "has more than one line".into(), remedy);
        } else if value.chars().any(|c| c.is_control() && c != '\t') {
            say(&field, "has a control character in it".into(), "take it out");
        }
    }
    for (at, package) in spec.apt_packages.iter().flatten().enumerate() {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"+-.:=~_/".contains(&b);
        if !package.bytes().all(plain) || !package.starts_with(|c: char| c.is_ascii_alphanumeric())
        {
            let what = format!("is no package of Debian: `{}`", package.escape_debug());
            say(&format!("apt_packages[{at}]"), what, "write it as `NAME` or `NAME=VERSION`");
        }
    }
    let lists = [
        ("packages", &spec.packages),
        ("conda_packages", &spec.conda_packages),
        ("conda_channels", &spec.conda_channels),
        ("pip_extra_index_url", &spec.pip_extra_index_url),
    ];
    for (name, list) in lists {
        for (at, item) in list.iter().flatten().enumerate() {
            if item.trim().is_empty() || item.chars().any(char::is_control) {
                let field = format!("{name}[{at}]");
                say(&field, "is empty, or has more than one line".into(), "write one in a text");
            } else if name.starts_with("conda") && item.starts_with('-') {
                let what = format!("begins with a dash: `{item}`");
                say(&format!("{name}[{at}]"), what, "write a name without options");
            }
        }
    }
    if let Some(arguments) = &spec.pip_extra_args
        && words::split(arguments).is_none()
    {
        say("pip_extra_args", "has a quote that is not closed".into(), "close it");
    }
    for (at, (_, target)) in spec.pip_secret_mounts.iter().flatten().enumerate() {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+@".contains(&b);
        if !target.starts_with('/') || target.ends_with('/') || !target.bytes().all(plain) {
            let field = format!("pip_secret_mounts[{at}]");
            let what = format!("has no plain absolute path to be at: `{}`", target.escape_debug());
            say(&field, what, "write it as `/etc/pip.conf`");
        }
    }
    if spec.source_root.is_none()
        && spec.source_copy_mode.is_some_and(|it| it != crate::CopyMode::None)
    {
        let remedy = "name the folder as `source_root`";
        say("source_copy_mode", "has no folder to copy".into(), remedy);
    }
    tag(spec, &mut say);
    options(spec, &mut say);
    if let Some(Base::Spec(inner)) = &spec.base_image {
        fields(inner, &format!("{within}base_image."), problems);
    }
}

fn tag(spec: &ImageSpec, say: &mut impl FnMut(&str, String, &str)) {
    let Some(format) = &spec.tag_format else { return };
    let example = format.replace("{spec_hash}", "0123456789abcdef");
    if !format.contains("{spec_hash}") {
        let remedy = "write it with `{spec_hash}`, such as `{spec_hash}-dev`";
        say("tag_format", "does not depend on the content".into(), remedy);
    } else if format!("a.b/c:{example}").parse::<ImageRef>().is_err() {
        let remedy = "use letters, digits, `.`, `-` and `_` beside `{spec_hash}`";
        say("tag_format", format!("makes no tag: `{format}`"), remedy);
    }
}

fn options(spec: &ImageSpec, say: &mut impl FnMut(&str, String, &str)) {
    let no_cache = spec.builder_options.as_ref().and_then(|it| it.no_cache.as_deref());
    if no_cache.is_some_and(|it| it != "true" && it != "false") {
        say("builder_options.no_cache", "is neither yes nor no".into(), "write `true` or `false`");
    }
    let micromamba = spec.builder_config.as_ref().and_then(|it| it.micromamba_image.as_deref());
    let images = [("builder_config.micromamba_image", micromamba), ("base_image", base_name(spec))];
    for (name, image) in images {
        if let Some(image) = image
            && image.parse::<ImageRef>().is_err()
        {
            let what = format!("is no name of an image: `{}`", image.escape_debug());
            say(name, what, "write it as `docker.io/library/debian:bookworm-slim`");
        }
    }
}

/// The base image, where it is named and no file.
pub(crate) fn base_name(spec: &ImageSpec) -> Option<&str> {
    match &spec.base_image {
        Some(Base::Name(name)) if !crate::SpecFile::is_one(name) => Some(name),
        _ => None,
    }
}

fn has_tag(registry: &str) -> bool {
    registry.contains('@') || registry.rsplit_once('/').is_some_and(|(_, last)| last.contains(':'))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() < 4 && text.bytes().all(|b| b.is_ascii_digit())
}
