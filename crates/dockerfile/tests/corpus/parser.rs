//! `buildkit-parser`: syntax trees, here-documents, words, directives, JSON arrays.

use boxwright_dockerfile::directive;
use boxwright_dockerfile::heredoc::Opener;
use boxwright_dockerfile::parser::{Arguments, Statement, Tree, parse};
use serde_json::Value;

use crate::{Corpus, rows, same, strings, text};

pub(crate) fn add(corpus: &mut Corpus) {
    goldens(corpus);
    documents(corpus);
    directives(corpus);
    words(corpus);
    json_arrays(corpus);
}

fn has_errors(tree: &Tree) -> bool {
    use boxwright_dockerfile::diagnostic::Severity;
    tree.diagnostics.iter().any(|it| it.severity == Severity::Error)
}

fn goldens(corpus: &mut Corpus) {
    let table = corpus.table("buildkit-parser/goldens.json");
    for case in rows(&table["positive"]) {
        corpus.row(format!("parser/golden/{}", text(&case["name"])), move || {
            let tree = parse(&text(&case["dockerfile_content"]));
            let dump: String =
                tree.statements.iter().map(|it| format!("({})\n", dump(it))).collect();
            same(&dump.trim(), &text(&case["expected_dump"]).trim())
        });
    }
    for case in rows(&table["negative"]) {
        corpus.row(format!("parser/negative/{}", text(&case["name"])), move || {
            same(&has_errors(&parse(&text(&case["dockerfile_content"]))), &true)
        });
    }
}

/// Writes a statement as BuildKit's dumper does.
fn dump(statement: &Statement) -> String {
    let mut out = statement.keyword.text.to_lowercase();
    if !statement.flags.is_empty() {
        let flags: Vec<_> = statement.flags.iter().map(|it| quoted(&it.text)).collect();
        out += &format!(" [{}]", flags.join(" "));
    }
    let mut values = Vec::new();
    push_values(&statement.arguments, &mut values);
    values.iter().for_each(|value| out += &format!(" {value}"));
    out
}

fn push_values(arguments: &Arguments, values: &mut Vec<String>) {
    match arguments {
        Arguments::None => {}
        Arguments::Unknown => values.push(quoted("")),
        Arguments::Text(word) => values.push(quoted(&word.text)),
        Arguments::List(words) | Arguments::Json(words) => {
            values.extend(words.iter().map(|word| quoted(&word.text)));
        }
        Arguments::Pairs(pairs) => {
            for pair in pairs {
                let sign = if pair.legacy { "" } else { "=" };
                values.extend([&pair.key.text, &pair.value.text, sign].map(quoted));
            }
        }
        Arguments::Healthcheck(kind, command) => {
            values.push(quoted(&kind.text));
            push_values(command, values);
        }
        Arguments::Statement(inner) => values.push(format!("({})", dump(inner))),
    }
}

/// Quotes as Go's `%q`.
fn quoted(text: impl AsRef<str>) -> String {
    let mut out = String::from('"');
    for c in text.as_ref().chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\u{7}' => out += "\\a",
            '\u{8}' => out += "\\b",
            '\u{c}' => out += "\\f",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            '\u{b}' => out += "\\v",
            c if c.is_ascii_control() => out += &format!("\\x{:02x}", c as u32),
            c => out.push(c),
        }
    }
    out + "\""
}

fn documents(corpus: &mut Corpus) {
    let table = corpus.table("buildkit-parser/heredoc.json");
    let kinds = [("validHeredocs", "one"), ("invalidHeredocs", "wrong"), ("notHeredocs", "none")];
    for (list, expected) in kinds {
        for (number, opener) in strings(&table[list]).into_iter().enumerate() {
            corpus.row(format!("parser/heredoc/{list}/{number}"), move || {
                let found = match Opener::parse(&opener) {
                    Ok(Some(_)) => "one",
                    Ok(None) => "none",
                    Err(_) => "wrong",
                };
                same(&found, &expected)
            });
        }
    }
    for (number, case) in rows(&table["from_line"]).into_iter().enumerate() {
        corpus.row(format!("parser/heredoc/from_line/{number}"), move || {
            let found = Opener::all(&text(&case["line"])).map_err(|error| error.message)?;
            let names: Vec<_> = found.into_iter().map(|it| it.name).collect();
            same(&names, &strings(&case["heredocNames"]))
        });
    }
    let tree = parse(&text(&table["extracts"]["dockerfile"]));
    for (number, case) in rows(&table["extracts"]["expected"]).into_iter().enumerate() {
        let found = tree.statements.get(number + 1).map(|it| it.documents.clone());
        corpus.row(format!("parser/heredoc/extracts/{number}"), move || {
            let found = found.ok_or("the statement is missing")?;
            let ours: Vec<_> = found
                .into_iter()
                .map(|it| (it.name, it.content, it.expand, it.chomp, it.descriptor))
                .collect();
            let theirs = case.as_array().map(Vec::as_slice).unwrap_or_default();
            let theirs: Vec<_> = theirs
                .iter()
                .map(|it| {
                    let flag = |name: &str| it[name].as_bool().unwrap_or(false);
                    let descriptor = it["FileDescriptor"].as_u64().unwrap_or(0);
                    (
                        text(&it["Name"]),
                        text(&it["Content"]),
                        flag("Expand"),
                        flag("Chomp"),
                        descriptor,
                    )
                })
                .collect();
            same(&ours, &theirs)
        });
    }
    let case = table["json_form_has_no_heredoc"].clone();
    corpus.row("parser/heredoc/json".into(), move || {
        let content = if case.is_string() { text(&case) } else { text(&case["dockerfile"]) };
        let tree = parse(&content);
        same(&tree.statements.iter().map(|it| it.documents.len()).sum(), &0_usize)
    });
}

fn directives(corpus: &mut Corpus) {
    let table = corpus.table("buildkit-parser/directives.json");
    for (number, case) in rows(&table["parse_all"]).into_iter().enumerate() {
        corpus.row(format!("parser/directives/parse_all/{number}"), move || {
            let found = directive::all(&text(&case["input"]));
            let ours: Vec<_> =
                found.into_iter().map(|it| vec![it.key.to_string(), it.value]).collect();
            same(&ours, &rows(&case["expect"]).iter().map(strings).collect())
        });
    }
    for (number, case) in rows(&table["detect_syntax"]).into_iter().enumerate() {
        corpus.row(format!("parser/directives/detect_syntax/{number}"), move || {
            let input = text(&case["input"]);
            let found = directive::syntax(&input);
            let line = found.as_ref().map(|it| 1 + input[..it.range.start].matches('\n').count());
            same(&found.map(|it| it.reference), &expected_reference(&case))?;
            case["line"]
                .as_u64()
                .map_or(Ok(()), |theirs| same(&line, &usize::try_from(theirs).ok()))
        });
    }
    for (number, case) in rows(&table["parse_directive_check"]).into_iter().enumerate() {
        corpus.row(format!("parser/directives/check/{number}"), move || {
            same(&directive::check(&text(&case["input"])), &expected_reference(&case))
        });
    }
}

fn expected_reference(case: &Value) -> Option<String> {
    case["ok"].as_bool().filter(|ok| *ok).map(|_| text(&case["ref"]))
}

fn words(corpus: &mut Corpus) {
    let table = corpus.table("buildkit-parser/words.json");
    for (number, case) in rows(&table["cases"]).into_iter().enumerate() {
        corpus.row(format!("parser/words/{number}"), move || {
            let tree = parse(&format!("ARG {}", strings(&case["input"]).concat()));
            let Arguments::List(words) = &tree.statements[0].arguments else {
                return Err(format!("{tree:?}"));
            };
            same(&words.iter().map(|it| it.text.clone()).collect(), &strings(&case["expect"]))
        });
    }
    let case = table["line_info"].clone();
    corpus.row("parser/lines".into(), move || {
        let content = text(&case["dockerfile_content"]);
        let lines = parse(&content).statements.into_iter().map(|it| {
            let last = content[..it.span.end].matches('\n').count() + 1;
            vec![it.span.line(&content), last]
        });
        let theirs: Vec<Vec<usize>> =
            serde_json::from_value(case["children"].clone()).map_err(|error| error.to_string())?;
        same(&lines.collect(), &theirs)
    });
}

fn json_arrays(corpus: &mut Corpus) {
    let table = corpus.table("buildkit-parser/json_arrays.json");
    let valid = table["valid"].as_object().expect("a table").clone();
    for (number, (input, expected)) in valid.into_iter().enumerate() {
        corpus.row(format!("parser/json/valid/{number}"), move || {
            let tree = parse(&format!("CMD {input}"));
            let Arguments::Json(words) = &tree.statements[0].arguments else {
                return Err(format!("{input}: {tree:?}"));
            };
            same(&words.iter().map(|it| it.text.clone()).collect(), &strings(&expected))
        });
    }
    for (number, input) in strings(&table["invalid"]).into_iter().enumerate() {
        corpus.row(format!("parser/json/invalid/{number}"), move || {
            same(&has_errors(&parse(&format!("CMD {input}"))), &true)
        });
    }
}
