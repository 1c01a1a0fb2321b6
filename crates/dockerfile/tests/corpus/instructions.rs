//! `buildkit-instructions`: errors, here-documents, git addresses.

use boxwright_dockerfile::Dockerfile;
use boxwright_dockerfile::git::GitAddress;
use boxwright_dockerfile::instruction::{Action, Command, Instruction};
use serde_json::Value;

use crate::{Corpus, Verdict, rows, same, strings, text};

pub(crate) fn add(corpus: &mut Corpus) {
    errors(corpus);
    documents(corpus);
    git(corpus);
}

/// Reads one instruction in a stage.
fn instruction(text: &str) -> Result<Instruction, String> {
    let file = Dockerfile::parse(&format!("FROM scratch\n{text}"));
    let file = file.map_err(|problems| {
        problems.iter().map(|it| it.message.clone() + "\n").collect::<String>()
    })?;
    let stage = file.stages.into_iter().next().ok_or("there is no stage")?;
    stage.instructions.into_iter().next().ok_or_else(|| "there is no instruction".to_owned())
}

/// The words of messages are our own; the fact has to be the same one.
fn refused(text: &str, facts: &[&str]) -> Verdict {
    match instruction(text) {
        Ok(found) => Err(format!("{text:?} is {found:?}")),
        Err(message) if facts.iter().all(|fact| message.contains(fact)) => Ok(()),
        Err(message) => Err(format!("`{message}` does not say {facts:?}")),
    }
}

fn errors(corpus: &mut Corpus) {
    let table = corpus.table("buildkit-instructions/errors.json");
    for (number, case) in rows(&table["error_cases"]).into_iter().enumerate() {
        corpus.row(format!("instructions/errors/{number}"), move || {
            let facts: &[&str] = match text(&case["expectedError"]).as_str() {
                "COPY requires at least two arguments" => &["`COPY`", "two arguments"],
                "FROM isn't allowed as an ONBUILD trigger" => &["`FROM`", "`ONBUILD`"],
                "unknown flag: --boo" => &["unknown flag", "--boo"],
                "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed" => &["`ONBUILD`", "cannot"],
                "unknown instruction: FOO" => &["unknown instruction", "FOO"],
                "unknown instruction: foo" => &["unknown instruction", "foo"],
                "COPY cannot accept a heredoc as a destination" => {
                    &["`COPY`", "destination", "here-document"]
                }
                other => return Err(format!("a new kind of error: {other}")),
            };
            refused(&text(&case["dockerfile"]), facts)
        });
    }
    let lists = [
        ("exactly_one_argument", "", "exactly one argument"),
        ("at_least_one_argument", "", "at least one argument"),
        ("no_destination", " arg1", "at least two arguments"),
        ("blank_names", " =arg2", "is empty"),
    ];
    for (list, arguments, fact) in lists {
        for name in strings(&table[list]) {
            corpus.row(format!("instructions/{list}/{name}"), move || {
                refused(&format!("{name}{arguments}"), &[&format!("`{name}`"), fact])
            });
        }
    }
}

fn documents(corpus: &mut Corpus) {
    let table = corpus.table("buildkit-instructions/heredoc.json");
    for (number, case) in rows(&table["copy"]).into_iter().enumerate() {
        corpus.row(format!("instructions/heredoc/copy/{number}"), move || {
            let Action::Copy(copy) = instruction(&text(&case["dockerfile"]))?.action else {
                return Err("it is something else".to_owned());
            };
            let theirs = &case["sourcesAndDest"];
            same(&copy.destination.text, &text(&theirs["DestPath"]))?;
            same(
                &copy.sources.iter().map(|it| it.text.clone()).collect(),
                &strings(&theirs["SourcePaths"]),
            )?;
            let ours: Vec<_> =
                copy.documents.iter().map(|it| (it.name.clone(), it.text(), it.expand)).collect();
            let theirs = theirs["SourceContents"].as_array().map(Vec::as_slice).unwrap_or_default();
            let theirs = theirs
                .iter()
                .map(|it| (text(&it["Path"]), text(&it["Data"]), it["Expand"] == true));
            same(&ours, &theirs.collect())
        });
    }
    for (number, case) in rows(&table["run"]).into_iter().enumerate() {
        corpus.row(format!("instructions/heredoc/run/{number}"), move || {
            let Action::Run(run) = instruction(&text(&case["dockerfile"]))?.action else {
                return Err("it is something else".to_owned());
            };
            let (is_shell, ours) = match run.command {
                Command::Shell(text) => (true, vec![text]),
                Command::Exec(words) => (false, words),
            };
            same(&is_shell, &(case["shell"] == true))?;
            same(&ours, &strings(&case["command"]))?;
            let ours: Vec<_> =
                run.documents.into_iter().map(|it| (it.name, it.content, it.chomp)).collect();
            let theirs = case["files"].as_array().map(Vec::as_slice).unwrap_or_default();
            let theirs =
                theirs.iter().map(|it| (text(&it["Name"]), text(&it["Data"]), it["Chomp"] == true));
            same(&ours, &theirs.collect())
        });
    }
}

fn git(corpus: &mut Corpus) {
    let table = corpus.table("buildkit-instructions/gitref.json");
    for (number, case) in rows(&table["parse"]).into_iter().enumerate() {
        corpus.row(format!("instructions/git/parse/{number}"), move || {
            let ours = GitAddress::parse(&text(&case["ref"]));
            if !case["err"].is_null() {
                return same(&ours.as_ref().is_some_and(Result::is_err), &true);
            }
            if case["expected"].is_null() {
                return same(&ours, &None);
            }
            let ours = ours.ok_or("it is not git")?.map_err(|error| error.message)?;
            same(&ours, &expected_address(&case["expected"])?)
        });
    }
    for list in ["fragment", "fragment_subdir"] {
        for (number, case) in rows(&table[list]).into_iter().enumerate() {
            corpus.row(format!("instructions/git/{list}/{number}"), move || {
                let ours = GitAddress::parse(&text(&case["ref"])).and_then(Result::ok);
                let ours = ours.map(|mut it| {
                    if list == "fragment" {
                        it.folder.clear();
                    }
                    it.short()
                });
                let theirs = (case["ok"] == true).then(|| text(&case["expected"]));
                same(&ours, &theirs)
            });
        }
    }
}

fn expected_address(value: &Value) -> Result<GitAddress, String> {
    let mut address = GitAddress::default();
    for (key, value) in value.as_object().ok_or("not a table")? {
        match key.as_str() {
            "$type" => {}
            "Remote" => address.remote = text(value),
            "ShortName" => address.name = text(value),
            "Ref" => address.reference = text(value),
            // A folder is kept without the slash before it, so that nothing takes it for a path of the host.
            "SubDir" => address.folder = text(value).trim_start_matches('/').to_owned(),
            "MTime" => address.times = Some(text(value)),
            "IndistinguishableFromLocal" => address.like_a_path = value == true,
            "UnencryptedTCP" => address.unencrypted = value == true,
            other => return Err(format!("a new field: {other}")),
        }
    }
    Ok(address)
}
