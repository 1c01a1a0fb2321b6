//! Values are data: whatever they hold, the instructions stay the same.

#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test with its place")]

use std::path::Path;

use boxwright_core::Host;
use boxwright_dockerfile::Dockerfile;
use boxwright_dockerfile::instruction::{Action, Command};
use boxwright_spec::{Images, Rendered, SpecFile, render};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What people, and attackers, write into fields.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "\"",
        "'",
        "\n",
        "\r\n",
        "#",
        "\\",
        "\\\n",
        "$(id)",
        "`id`",
        "$HOME",
        "${A}",
        "$$",
        "<<EOF",
        "<<-'EOF'\n",
        "\nEOF\n",
        "\nRUN touch /evil\n",
        "\nUSER root",
        "FROM scratch",
        "# escape=`",
        "]",
        "[",
        ",",
        " ",
        "\t",
        "&&",
        "||",
        ";",
        "|",
        "--mount=type=secret,id=x",
        "{{",
        "%s",
        "é",
        "\u{2028}",
        "a",
        "\u{7f}",
        "\u{1b}[0m",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 1..8).prop_map(|it| it.concat())
}

fn rendered(spec: &Value, folder: &Path) -> boxwright_core::Result<Rendered> {
    std::fs::write(folder.join("spec.json"), spec.to_string()).unwrap();
    let host = Host::with_variables(folder, [("HOME", "/")]);
    render(&SpecFile::read("spec.json", &host).unwrap(), &Images::default())
}

/// The names of the instructions, by stage.
fn instructions(dockerfile: &str) -> Vec<String> {
    let file = Dockerfile::parse(dockerfile).unwrap_or_else(|it| panic!("{it:?}\n{dockerfile}"));
    assert!(file.arguments.is_empty() && file.escape == '\\', "{dockerfile}");
    let mut names = Vec::new();
    for stage in &file.stages {
        names.push("FROM".to_owned());
        for it in &stage.instructions {
            if let Action::Run(run) = &it.action {
                assert!(run.documents.is_empty(), "{dockerfile}");
                assert!(matches!(run.command, Command::Exec(_)), "{dockerfile}");
                names.push(format!("RUN with {} mounts", run.mounts.len()));
            } else {
                let text = it.text.split_whitespace().next().unwrap();
                names.push(text.to_owned());
            }
        }
    }
    names
}

fn scripts(dockerfile: &str) -> Vec<Vec<String>> {
    let file = Dockerfile::parse(dockerfile).unwrap();
    let all = file.stages.into_iter().flat_map(|it| it.instructions);
    let words = all.filter_map(|it| match it.action {
        Action::Run(run) => match run.command {
            Command::Exec(words) => Some(words),
            Command::Shell(_) => None,
        },
        Action::Entrypoint(Command::Exec(words)) => Some(words),
        _ => None,
    });
    words.collect()
}

/// Specifications that have every field between them: what excludes each other is in different ones.
fn specifications() -> Vec<Value> {
    vec![
        json!({
            "name": "app", "registry": "localhost:5000", "builder": "default", "python_version": "3.11",
            "base_image": "debian:12", "packages": ["numpy", "six"], "requirements": "r.txt",
            "conda_packages": ["curl"], "conda_channels": ["nvidia"], "apt_packages": ["git"],
            "env": { "A": "x", "B": "y" }, "platform": "linux/amd64", "pip_index": "https://a.example/simple",
            "pip_extra_index_url": ["https://b.example/simple"], "pip_extra_args": "--pre",
            "pip_secret_mounts": [["token", "/etc/pip.conf"]], "entrypoint": ["run", "it"],
            "commands": ["true", "id"], "copy": ["data"], "source_root": "src", "source_copy_mode": "all",
            "tag_format": "{spec_hash}-x", "registry_config": "config.json", "runtime_packages": ["x"],
            "builder_options": { "engine": "podman", "builder": "portable", "no_cache": "true" },
            "builder_config": { "micromamba_image": "m.example/m:1", "uv_image": "u.example/u:1" },
        }),
        json!({
            "base_image": { "base_image": "debian:12", "apt_packages": ["git"], "env": { "A": "x" } },
            "python_exec": "/usr/bin/python3", "requirements": "pyproject.toml", "pip_extra_args": "--pre",
        }),
        json!({
            "base_image": "debian:12", "requirements": "uv.lock", "pip_index": "https://a.example/simple",
            "pip_extra_index_url": ["https://b.example/simple"], "pip_extra_args": "--pre",
        }),
        json!({ "base_image": "debian:12", "requirements": "poetry.lock", "pip_extra_args": "--sync" }),
        json!({ "base_image": "debian:12", "cuda": "12", "cudnn": "9" }),
    ]
}

/// A folder with all that [`specifications`] name.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("data/a.txt", ""),
        ("src/a.py", ""),
        ("token", ""),
        ("r.txt", "a==1\n"),
        ("uv.lock", ""),
        ("poetry.lock", ""),
        ("pyproject.toml", "[project]\ndependencies = ['a']\n"),
    ] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// Every field of every specification, by where it is.
fn fields() -> Vec<(usize, String)> {
    let all = specifications().into_iter().enumerate();
    all.flat_map(|(at, spec)| {
        let names: Vec<String> = spec.as_object().unwrap().keys().cloned().collect();
        names.into_iter().map(move |name| (at, name))
    })
    .collect()
}

/// The instructions of a specification and of what it is built on.
fn all_instructions(rendered: &Rendered) -> Vec<String> {
    let mut all = instructions(&rendered.dockerfile);
    if let Some(base) = &rendered.base {
        all.extend(all_instructions(base));
    }
    all
}

#[test]
fn every_field_is_attacked() {
    let schema = boxwright_spec::schema();
    let known = schema.as_value()["properties"].as_object().unwrap().clone();
    let attacked: std::collections::BTreeSet<String> =
        fields().into_iter().map(|(_, name)| name).collect();
    let missing: Vec<_> = known.keys().filter(|it| !attacked.contains(*it)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let folder = project();
    for spec in &specifications()[..4] {
        rendered(spec, folder.path()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every field may be refused; what is not refused changes no instruction. The attack is all of a value, or comes
    /// after one that is well-formed.
    #[test]
    fn no_value_becomes_an_instruction_threat_22(
        value in hostile(),
        (at, name) in prop::sample::select(fields()),
        is_all in any::<bool>(),
    ) {
        let folder = project();
        let plain = specifications().swap_remove(at);
        let mut spec = plain.clone();
        replace(&mut spec[&name], &|old| if is_all { value.clone() } else { format!("{old}{value}") });
        match rendered(&spec, folder.path()) {
            Ok(it) => {
                let expected = all_instructions(&rendered(&plain, folder.path()).unwrap());
                prop_assert_eq!(expected, all_instructions(&it), "{}", it.dockerfile);
            }
            Err(error) => prop_assert!(error.remedy().is_some() || !error.context().is_empty()),
        }
    }

    /// The name of a variable is one, or is refused.
    #[test]
    fn a_name_of_a_variable_is_one_or_refused_threat_22(value in hostile()) {
        let folder = project();
        let spec = |name: &str| json!({ "base_image": "debian:12", "env": { name: "x" } });
        if let Ok(it) = rendered(&spec(&value), folder.path()) {
            let expected = rendered(&spec("A"), folder.path()).unwrap();
            prop_assert_eq!(instructions(&it.dockerfile), instructions(&expected.dockerfile));
        }
    }

    /// What stands in files, and how they are called, is in no instruction at all.
    #[test]
    fn files_are_in_no_instruction_threat_22(value in hostile(), at in 0..4_usize) {
        let folder = project();
        let spec = specifications().swap_remove(at);
        let plain = rendered(&spec, folder.path()).unwrap();
        for folders in ["data", "src"] {
            std::fs::write(folder.path().join(folders).join(value.replace('/', "_")), &value).unwrap();
        }
        for text in ["r.txt", "uv.lock", "poetry.lock"] {
            std::fs::write(folder.path().join(text), format!("a==1\n{value}\n")).unwrap();
        }
        let dependency = Value::from(format!("a {value}"));
        let project = format!("[project]\ndependencies = [{dependency}]\n");
        std::fs::write(folder.path().join("pyproject.toml"), project).unwrap();
        match rendered(&spec, folder.path()) {
            Ok(it) => {
                prop_assert_eq!(plain.dockerfile, it.dockerfile);
            }
            Err(error) => prop_assert!(error.remedy().is_some() || !error.context().is_empty()),
        }
    }

    /// Commands, arguments and entry points arrive as they were written.
    #[test]
    fn commands_and_entry_points_arrive_unchanged_threat_22(value in hostile()) {
        let folder = tempfile::tempdir().unwrap();
        let spec = json!({
            "base_image": "debian:12", "commands": [value, "true"], "entrypoint": ["sh", value],
        });
        let found = scripts(&rendered(&spec, folder.path()).unwrap().dockerfile);
        let script = format!("{value}\ntrue\n");
        prop_assert!(found.iter().any(|words| words.last() == Some(&script)), "{found:?}");
        prop_assert!(found.contains(&vec!["sh".to_owned(), value.clone()]), "{found:?}");
    }

    /// The value of a variable is the text of one pair.
    #[test]
    fn a_variable_stays_one(value in hostile()) {
        prop_assume!(!value.chars().any(|c| c.is_control() && c != '\t'));
        let folder = tempfile::tempdir().unwrap();
        let spec = json!({ "base_image": "debian:12", "env": { "ONE": value } });
        let dockerfile = rendered(&spec, folder.path()).unwrap().dockerfile;
        let file = Dockerfile::parse(&dockerfile).unwrap();
        let pairs: Vec<_> = file.stages[0].instructions.iter().filter_map(|it| match &it.action {
            Action::Env(pairs) => Some(pairs.iter().map(|it| it.key.text.clone()).collect::<Vec<_>>()),
            _ => None,
        }).collect();
        prop_assert_eq!(pairs, vec![vec!["PYTHONPATH".to_owned()], vec!["ONE".to_owned()]]);
    }
}

/// Changes every text of a field.
fn replace(field: &mut Value, change: &dyn Fn(&str) -> String) {
    match field {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, change)),
        Value::Object(fields) => fields.values_mut().for_each(|item| replace(item, change)),
        Value::String(old) => *old = change(old),
        _ => {}
    }
}
