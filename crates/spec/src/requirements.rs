//! What packages of Python are installed, and from what file.

use crate::files::{ContextFile, inside};
use crate::model::ImageSpec;
use crate::problem::Problem;

/// How packages are installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Installed {
    /// There are none.
    Nothing,
    /// From `requirements.txt`.
    Requirements,
    /// By uv, from its lock file.
    UvLock,
    /// By Poetry, from its lock file.
    PoetryLock,
}

/// Reads what is to be installed, and adds the files that it takes.
pub(crate) fn read(
    spec: &ImageSpec,
    folder: &std::path::Path,
    files: &mut Vec<ContextFile>,
) -> Result<Installed, Problem> {
    let packages = spec.packages.clone().unwrap_or_default();
    let Some(path) = &spec.requirements else {
        return Ok(listed(packages, files));
    };
    let found = inside(folder, "requirements", path)?;
    let text = std::fs::read_to_string(&found).map_err(|error| {
        Problem::new(
            format!("cannot read `{path}`: {error}"),
            "name a text that this user may read",
        )
    })?;
    let name = path.rsplit('/').next().unwrap_or(path);
    match name {
        "uv.lock" | "poetry.lock" => {
            if !packages.is_empty() {
                let what = format!("`packages` and `{path}` exclude each other");
                return Err(Problem::new(what, format!("add the packages to `{name}`")));
            }
            let beside = path.strip_suffix(name).unwrap_or_default();
            let project = inside(folder, "requirements", &format!("{beside}pyproject.toml"));
            let project = project.ok().and_then(|it| std::fs::read_to_string(it).ok());
            let Some(project) = project else {
                let what = format!("there is no `pyproject.toml` beside `{path}`");
                return Err(Problem::new(what, "put the one that it was made from there"));
            };
            files.push(ContextFile::text(name, text));
            files.push(ContextFile::text("pyproject.toml", project));
            Ok(if name == "uv.lock" { Installed::UvLock } else { Installed::PoetryLock })
        }
        "pyproject.toml" => {
            let mut all = dependencies(path, &text)?;
            all.extend(packages);
            Ok(listed(all, files))
        }
        name if name.ends_with(".txt") || name.ends_with(".in") => {
            let lines = text.lines().map(str::trim_end);
            let elsewhere = lines.clone().find(|line| {
                let line = line.trim_start();
                ["-r", "--requirement", "-c", "--constraint", "-e", "--editable", "."]
                    .iter()
                    .any(|option| line.starts_with(option))
            });
            if let Some(line) = elsewhere {
                let what = format!("`{path}` needs another file: `{line}`");
                return Err(Problem::new(what, "write the requirements into this one"));
            }
            Ok(listed(lines.map(str::to_owned).chain(packages).collect(), files))
        }
        _ => Err(Problem::new(
            format!("`requirements` has an unknown format: `{path}`"),
            "use `requirements.txt`, `uv.lock`, `poetry.lock` or `pyproject.toml`",
        )),
    }
}

fn listed(lines: Vec<String>, files: &mut Vec<ContextFile>) -> Installed {
    if lines.iter().all(|line| line.trim().is_empty()) {
        return Installed::Nothing;
    }
    files.push(ContextFile::text("requirements.txt", lines.join("\n") + "\n"));
    Installed::Requirements
}

/// The dependencies that a project declares.
fn dependencies(path: &str, text: &str) -> Result<Vec<String>, Problem> {
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        Problem::new(format!("cannot read `{path}`: {}", error.message()), "correct it")
    })?;
    let project = table.get("project").and_then(toml::Value::as_table);
    let list = project.and_then(|it| it.get("dependencies")).and_then(toml::Value::as_array);
    let Some(list) = list else {
        let what = format!("`{path}` has no list `project.dependencies`");
        return Err(Problem::new(what, "list them there, or name a requirements file"));
    };
    let texts = list.iter().map(|it| it.as_str().filter(|it| !it.contains(['\n', '\r'])));
    texts.map(|it| it.map(str::to_owned)).collect::<Option<_>>().ok_or_else(|| {
        let what = format!("`{path}` has a dependency that is no text of one line");
        Problem::new(what, "write each as a text, such as `numpy>=2`")
    })
}
