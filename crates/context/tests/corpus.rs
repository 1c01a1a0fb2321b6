//! The tables that `moby/patternmatcher` tests itself with, read from the corpora beside the repository.

use boxwright_context::ignore::{self, Rules};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use serde::Deserialize;

#[derive(Deserialize)]
struct Tables {
    single: Vec<Single>,
    multi: Vec<Multi>,
    filepath_match: Vec<FilepathMatch>,
    adhoc: Vec<Adhoc>,
    compile: Vec<Compile>,
}

#[derive(Deserialize)]
struct Single {
    pattern: String,
    text: String,
    pass: bool,
}

#[derive(Deserialize)]
struct Multi {
    patterns: Vec<String>,
    text: String,
    pass: bool,
}

#[derive(Deserialize)]
struct FilepathMatch {
    pattern: String,
    s: String,
    #[serde(rename = "match")]
    matches: bool,
    error: bool,
}

#[derive(Deserialize)]
struct Adhoc {
    patterns: Vec<String>,
    text: String,
    #[serde(rename = "match", default)]
    matches: bool,
    #[serde(default)]
    error: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Compile {
    pattern: String,
    compiled_regexp: String,
    match_type: String,
}

#[derive(Deserialize)]
struct IgnoreFile {
    content: String,
    expected: Vec<String>,
}

type Test = fn(&str) -> Result<(), Failed>;

fn main() {
    let folder = boxwright_testkit::corpora().map(|folder| folder.join("patternmatcher"));
    let tests: [(&str, &str, Test); 6] = [
        ("ignore_file_is_cleaned", "ignorefile.json", ignore_file),
        ("single_patterns_match_paths_and_parents", "matches.json", single),
        ("the_last_of_several_patterns_decides", "matches.json", multi),
        ("patterns_match_as_go_does", "matches.json", filepath_match),
        ("lists_of_patterns_match", "matches.json", adhoc),
        ("patterns_compile_to_the_same_expressions", "matches.json", compile),
    ];
    let trials = tests.map(|(name, file, test)| {
        let folder = folder.clone();
        Trial::ignorable_test(name, move || match folder {
            Ok(folder) => {
                let text = std::fs::read_to_string(folder.join(file))?;
                test(&text).map(|()| Completion::Completed)
            }
            Err(reason) => Ok(Completion::ignored_with(reason)),
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}

fn expect(wrong: Vec<String>, rows: usize) -> Result<(), Failed> {
    if rows == 0 {
        return Err("the table has no rows".into());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

fn tables(text: &str) -> Tables {
    serde_json::from_str(text).expect("the corpus has the form that its README says")
}

fn ignore_file(text: &str) -> Result<(), Failed> {
    let table: IgnoreFile = serde_json::from_str(text)?;
    let found = ignore::parse(&table.content);
    if found == table.expected { Ok(()) } else { Err(format!("{found:?}").into()) }
}

/// Asks about a path as a walk does: folder by folder, with what matched the one above.
fn walked(rules: &Rules, path: &str) -> bool {
    let ends = path.match_indices('/').map(|(end, _)| end).filter(|&end| end > 0);
    let mut parent = None;
    for end in ends {
        parent = Some(rules.verdict(&path[..end], parent.as_ref()).1);
    }
    rules.verdict(path, parent.as_ref()).0
}

fn passes<P: AsRef<str>>(patterns: &[P], path: &str, expected: bool) -> bool {
    Rules::new(patterns)
        .is_ok_and(|rules| rules.excludes(path) == expected && walked(&rules, path) == expected)
}

fn single(text: &str) -> Result<(), Failed> {
    let rows = tables(text).single;
    let wrong = rows.iter().filter(|row| !passes(&[&row.pattern], &row.text, row.pass));
    expect(wrong.map(|row| format!("{} on {}", row.pattern, row.text)).collect(), rows.len())
}

fn multi(text: &str) -> Result<(), Failed> {
    let rows = tables(text).multi;
    let wrong = rows.iter().filter(|row| !passes(&row.patterns, &row.text, row.pass));
    expect(wrong.map(|row| format!("{:?} on {}", row.patterns, row.text)).collect(), rows.len())
}

fn filepath_match(text: &str) -> Result<(), Failed> {
    let rows = tables(text).filepath_match;
    let wrong = rows.iter().filter(|row| match Rules::new(&[&row.pattern]) {
        Ok(rules) => row.error || rules.matches(&row.s) != row.matches,
        Err(_) => !row.error,
    });
    expect(wrong.map(|row| format!("{} on {}", row.pattern, row.s)).collect(), rows.len())
}

fn adhoc(text: &str) -> Result<(), Failed> {
    let rows = tables(text).adhoc;
    let wrong = rows.iter().filter(|row| match Rules::new(&row.patterns) {
        Ok(rules) => row.error || rules.matches(&row.text) != row.matches,
        Err(_) => !row.error,
    });
    expect(wrong.map(|row| format!("{:?} on {}", row.patterns, row.text)).collect(), rows.len())
}

fn compile(text: &str) -> Result<(), Failed> {
    let rows = tables(text).compile;
    let wrong = rows.iter().filter_map(|row| {
        let found = ignore::explain(&row.pattern);
        let expected = match row.match_type.as_str() {
            "exactMatch" => "exact".to_owned(),
            "prefixMatch" => "prefix".to_owned(),
            "suffixMatch" => "suffix".to_owned(),
            "regexpMatch" => row.compiled_regexp.clone(),
            other => format!("a kind of match that is unknown here: {other}"),
        };
        (found != expected).then(|| format!("{}: {found}, not {expected}", row.pattern))
    });
    expect(wrong.collect(), rows.len())
}
