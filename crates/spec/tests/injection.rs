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

fn whole(value: &dyn Fn(&str) -> String) -> Value {
    json!({
        "name": "app", "registry": "localhost:5000", "python_version": "3.11",
        "packages": [value("numpy")], "conda_packages": [value("curl")],
        "conda_channels": [value("nvidia")], "apt_packages": [value("git")],
        "env": { "A": value("x"), "B": value("y") }, "pip_index": value("https://a.example/simple"),
        "pip_extra_index_url": [value("https://b.example/simple")], "pip_extra_args": value("--pre"),
        "entrypoint": [value("run"), value("it")], "commands": [value("true"), value("id")],
        "copy": ["data"], "python_exec": Value::Null,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every field at once may be refused; what is not refused changes no instruction.
    #[test]
    fn no_value_becomes_an_instruction_threat_22(value in hostile(), field in 0..14_usize) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let plain = whole(&|it| it.to_owned());
        let mut spec = plain.clone();
        let names: Vec<String> = plain.as_object().unwrap().keys().cloned().collect();
        let name = &names[field % names.len()];
        replace(&mut spec[name], &value);
        let expected = instructions(&rendered(&plain, folder.path()).unwrap().dockerfile);
        match rendered(&spec, folder.path()) {
            Ok(it) => prop_assert_eq!(expected, instructions(&it.dockerfile), "{}", it.dockerfile),
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

fn replace(field: &mut Value, value: &str) {
    match field {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, value)),
        Value::Object(fields) => fields.values_mut().for_each(|item| replace(item, value)),
        other => *other = value.into(),
    }
}
