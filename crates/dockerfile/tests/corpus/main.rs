//! Cases that other builders test themselves with, kept outside the repository.
//!
//! Each row of a table is a test of its own. Rows that we answer otherwise are in `exceptions.tsv`, each with its
//! reason; one that starts to agree fails here until it is taken off the list.

mod instructions;
mod parser;
mod plans;
mod real;
mod shell;

use std::collections::BTreeMap;
use std::path::PathBuf;

use libtest_mimic::{Arguments, Completion, Trial};
use serde_json::Value;

/// Why a row is not as it should be.
type Verdict = Result<(), String>;

fn main() {
    let trials = match boxwright_testkit::corpora() {
        Ok(folder) => Corpus::new(folder).trials(),
        Err(reason) => {
            vec![Trial::ignorable_test("corpus", move || Ok(Completion::ignored_with(reason)))]
        }
    };
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// The folder, and the rows that we answer otherwise.
struct Corpus {
    folder: PathBuf,
    exceptions: BTreeMap<String, String>,
    trials: Vec<Trial>,
}

impl Corpus {
    fn new(folder: PathBuf) -> Self {
        let listed = include_str!("exceptions.tsv").lines().filter(|line| !line.starts_with('#'));
        let exceptions = listed.filter_map(|line| line.split_once('\t'));
        let exceptions =
            exceptions.map(|(id, reason)| (id.to_owned(), reason.to_owned())).collect();
        Self { folder, exceptions, trials: Vec::new() }
    }

    fn trials(mut self) -> Vec<Trial> {
        parser::add(&mut self);
        shell::add(&mut self);
        instructions::add(&mut self);
        real::add(&mut self);
        plans::add(&mut self);
        for id in std::mem::take(&mut self.exceptions).into_keys() {
            let message = format!("exceptions.tsv lists `{id}`, and no corpus has it");
            self.trials.push(Trial::test("exceptions", move || Err(message.into())));
        }
        self.trials
    }

    /// Reads a table. A corpus folder that is there has all of its files.
    fn table(&self, path: &str) -> Value {
        let path = self.folder.join(path);
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Adds one row.
    fn row(&mut self, id: String, check: impl FnOnce() -> Verdict + Send + 'static) {
        let exception = self.exceptions.remove(&id);
        self.trials.push(Trial::test(id, move || match (check(), exception) {
            (verdict, None) => verdict.map_err(Into::into),
            (Err(_), Some(_)) => Ok(()),
            (Ok(()), Some(reason)) => {
                Err(format!("it agrees now; take it off the list: {reason}").into())
            }
        }));
    }
}

/// Compares, and says both when they differ.
fn same<T: PartialEq + std::fmt::Debug>(ours: &T, theirs: &T) -> Verdict {
    if ours == theirs { Ok(()) } else { Err(format!("\n  ours: {ours:?}\ntheirs: {theirs:?}")) }
}

/// The strings of an array; `null` has none.
fn strings(value: &Value) -> Vec<String> {
    let all = value.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().map(text).collect()
}

/// A string of a row.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}

/// The rows of a table.
fn rows(value: &Value) -> Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value}")).clone()
}
