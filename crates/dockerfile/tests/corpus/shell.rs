//! `buildkit-shell`: expansion and word splitting.

use std::collections::{BTreeMap, BTreeSet};

use boxwright_dockerfile::expand::pattern::{expression, reversed_pattern};
use boxwright_dockerfile::expand::{ExpandError, Expander, Expansion};
use serde_json::Value;

use crate::{Corpus, Verdict, rows, same, strings, text};

pub(crate) fn add(corpus: &mut Corpus) {
    variables(corpus);
    words(corpus);
    matches(corpus);
    patterns(corpus);
}

fn environment(value: &Value) -> BTreeMap<String, String> {
    let object = value.as_object().expect("a table of variables");
    object.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

fn expand(case: &Value, environment: &BTreeMap<String, String>) -> Result<Expansion, ExpandError> {
    Expander::new('\\').expand(&text(&case["input"]), environment)
}

fn variables(corpus: &mut Corpus) {
    let table = corpus.table("buildkit-shell/envvar.json");
    let environment = environment(&table["env"]);
    for case in rows(&table["cases"]) {
        // Rows for Windows alone are about names of variables that are equal but for case. Images for Windows are not
        // built here.
        if text(&case["platform"]) == "W" {
            continue;
        }
        let environment = environment.clone();
        corpus.row(format!("shell/envvar/{}", case["line"]), move || {
            let ours = expand(&case, &environment).ok().map(|it| it.text);
            same(&ours, &case["expected"].as_str().map(str::to_owned))
        });
    }
}

fn words(corpus: &mut Corpus) {
    let table = corpus.table("buildkit-shell/words.json");
    for case in rows(&table["cases"]) {
        corpus.row(format!("shell/words/{}", case["line"]), move || {
            let environment = strings(&case["env"]).into_iter();
            let environment = environment.filter_map(|it| {
                it.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
            });
            let ours = expand(&case, &environment.collect()).map_err(|error| error.message)?;
            same(&ours.words, &strings(&case["expected"]))
        });
    }
}

fn matches(corpus: &mut Corpus) {
    let table = corpus.table("buildkit-shell/matches.json");
    for (number, case) in rows(&table["cases"]).into_iter().enumerate() {
        corpus.row(format!("shell/matches/{number}"), move || {
            let ours = expand(&case, &environment(&case["envs"]));
            if case["expectedErr"].as_bool() == Some(true) {
                return same(&ours.is_err(), &true);
            }
            let ours = ours.map_err(|error| error.message)?;
            let set = |value: &Value| strings(value).into_iter().collect::<BTreeSet<_>>();
            same(&ours.text, &text(&case["expected"]))?;
            same(&ours.matched, &set(&case["matches"]))?;
            same(&ours.unmatched, &set(&case["unmatched"]))
        });
    }
    for list in ["platform", "mandatory"] {
        for (number, case) in rows(&table[list]).into_iter().enumerate() {
            corpus.row(format!("shell/{list}/{number}"), move || mandatory(&case));
        }
    }
}

fn mandatory(case: &Value) -> Verdict {
    match (expand(case, &environment(&case["envs"])), case["error_contains"].as_str()) {
        (Ok(ours), None) => same(&ours.text, &text(&case["expected"])),
        (Err(ours), Some(theirs)) => same(&ours.message.contains(theirs), &true),
        (ours, theirs) => Err(format!("{ours:?} instead of {theirs:?}")),
    }
}

fn patterns(corpus: &mut Corpus) {
    let table = corpus.table("buildkit-shell/matches.json");
    let valid = table["pattern_to_regex"].as_object().expect("a table").clone();
    for (number, (pattern, theirs)) in valid.into_iter().enumerate() {
        corpus.row(format!("shell/pattern/{number}"), move || {
            let ours = expression(&pattern, true, true).map_err(|error| error.message)?;
            same(&ours, &text(&theirs))
        });
    }
    for (number, pattern) in strings(&table["pattern_to_regex_invalid"]).into_iter().enumerate() {
        corpus.row(format!("shell/pattern/invalid/{number}"), move || {
            same(&expression(&pattern, true, true).is_err(), &true)
        });
    }
    let reversed = table["reverse_pattern"].as_object().expect("a table").clone();
    for (number, (pattern, theirs)) in reversed.into_iter().enumerate() {
        corpus.row(format!("shell/pattern/reversed/{number}"), move || {
            same(&reversed_pattern(&pattern), &text(&theirs))
        });
    }
}
