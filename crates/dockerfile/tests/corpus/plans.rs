//! The Dockerfiles of the corpora that are built: each gives a plan and steps, or is refused for the reason that upstream
//! refuses it. What only shows with files or a process is not judged here.

use std::collections::{BTreeMap, BTreeSet};

use boxwright_dockerfile::diagnostic::{Diagnostic, Severity};
use boxwright_dockerfile::plan::{Base, Options, Plan, Source, StageId};
use serde_json::Value;

use crate::{Corpus, Verdict, rows, text};

pub(crate) fn add(corpus: &mut Corpus) {
    buildah(corpus);
    buildkit(corpus);
    for name in ["imagebuilder", "kaniko"] {
        let index = corpus.table(&format!("{name}/index.json"));
        for case in rows(&index["cases"]) {
            corpus.row(format!("plans/{name}/{}", text(&case["id"])), move || {
                judge(&text(&case["dockerfile_content"]), options(&case), None)
            });
        }
    }
    lint(corpus);
    findings(corpus);
    ports(corpus);
}

/// What upstream's linter finds, by rule and line, against what we warn about.
fn findings(corpus: &mut Corpus) {
    for case in rows(&corpus.table("buildkit-dockerfile/lint.json")["cases"]) {
        corpus.row(format!("lint/{}", text(&case["id"])), move || {
            let content = text(&case["dockerfile"]);
            let theirs = rows(&case["warnings"]).into_iter().map(|finding| {
                (text(&finding["RuleName"]), finding["Line"].as_u64().unwrap_or_default())
            });
            let mut theirs: Vec<(String, u64)> = theirs.collect();
            theirs.sort();
            let mut ours = Vec::new();
            for warning in warnings(&content, attributes(&case)) {
                let line = warning.span.line(&content);
                let rule = warning.rule.ok_or_else(|| format!("no rule: {warning}"))?;
                ours.push((rule.to_string(), line as u64));
            }
            ours.sort();
            crate::same(&ours, &theirs)
        });
    }
}

/// Everything that we warn about, also where the file is refused.
fn warnings(content: &str, options: Options) -> Vec<Diagnostic> {
    let all = match Plan::new(content, options) {
        Err(problems) => problems,
        Ok(plan) => {
            let mut all = plan.warnings().to_vec();
            let mut results: BTreeMap<StageId, Base> = BTreeMap::new();
            for stage in plan.needed() {
                let base = match &stage.base {
                    Source::Stage(id) => results[id].clone(),
                    Source::Scratch => Base::scratch(),
                    _ => Base::of_image(&["PATH=/usr/bin:/bin".to_owned()], "", "", &[]),
                };
                if let Ok(evaluated) = plan.evaluate(stage.id, &base) {
                    all.extend(evaluated.warnings);
                    results.insert(stage.id, evaluated.result);
                }
            }
            all
        }
    };
    all.into_iter().filter(|it| it.severity == Severity::Warning).collect()
}

/// Dockerfiles that upstream warns about. Only those that it refuses are refused.
fn lint(corpus: &mut Corpus) {
    for case in rows(&corpus.table("buildkit-dockerfile/lint.json")["cases"]) {
        corpus.row(format!("plans/lint/{}", text(&case["id"])), move || {
            let fact = match case["build_err"].as_str() {
                None => None,
                Some(error) if error.contains("unknown instruction: BADCMD") => {
                    Some("unknown instruction `BADCMD`")
                }
                Some(error) if error.contains("failed to parse platform") => Some("is no platform"),
                Some(other) => return Err(format!("a new kind of error: {other}")),
            };
            judge(&text(&case["dockerfile"]), attributes(&case), fact)
        });
    }
}

/// The options of a case that names them as BuildKit does.
fn attributes(case: &Value) -> Options {
    let attributes = case["attrs"].as_object().cloned().unwrap_or_default();
    let build_args = attributes
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("build-arg:")?.to_owned(), text(value))));
    Options { build_args: build_args.collect(), ..Options::default() }
}

fn options(case: &Value) -> Options {
    let build_args = case["build_args"].as_object().cloned().unwrap_or_default();
    let build_args = build_args.into_iter().map(|(name, value)| (name, text(&value)));
    Options {
        target: case["target"].as_str().map(str::to_owned),
        build_args: build_args.collect::<BTreeMap<_, _>>(),
        ..Options::default()
    }
}

/// Makes a plan and evaluates its stages, with images that have a search path and nothing else.
fn steps(content: &str, options: Options) -> Result<usize, Vec<Diagnostic>> {
    let plan = Plan::new(content, options)?;
    let mut results: BTreeMap<StageId, Base> = BTreeMap::new();
    let mut count = 0;
    for stage in plan.needed() {
        let base = match &stage.base {
            Source::Stage(id) => results[id].clone(),
            Source::Scratch => Base::scratch(),
            _ => Base::of_image(&["PATH=/usr/bin:/bin".to_owned()], "", "", &[]),
        };
        let evaluated = plan.evaluate(stage.id, &base)?;
        for step in &evaluated.steps {
            count += usize::from(evaluated.created_by(step).is_some());
        }
        results.insert(stage.id, evaluated.result);
    }
    Ok(count)
}

/// Compares with what upstream does. `fact` is what our refusal has to name.
pub(crate) fn judge(content: &str, options: Options, fact: Option<&str>) -> Verdict {
    match (steps(content, options), fact) {
        (Ok(_), None) => Ok(()),
        (Ok(count), Some(fact)) => Err(format!("{count} steps, and no refusal that says `{fact}`")),
        (Err(problems), fact) => {
            let shown: String =
                problems.iter().map(|it| it.render("Dockerfile", content)).collect();
            if fact.is_some_and(|fact| shown.contains(fact)) { Ok(()) } else { Err(shown) }
        }
    }
}

fn buildah(corpus: &mut Corpus) {
    let index = corpus.table("buildah-conformance/index.json");
    for case in rows(&index["cases"]) {
        corpus.row(format!("plans/buildah/{}", text(&case["id"])), move || {
            // Where a case without `ENV` must fail, it is for files that are missing.
            let content = text(&case["dockerfile_content"]);
            let fails = case["should_fail"] == true && content.contains("ENV ");
            judge(&content, options(&case), fails.then_some("is not closed"))
        });
    }
}

/// What we say where BuildKit says something. `None`: only files or a process show it.
fn fact(theirs: &str) -> Result<Option<&'static str>, String> {
    Ok(Some(match theirs {
        "FOO: custom error" => "`FOO` is not set: custom error",
        "unknown instruction: FNTRYPOINT" => "use `ENTRYPOINT`",
        "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround" => {
            "`--from` cannot have variables"
        }
        "invalid chmod parameter: '64a'. it should be octal string and between 0 and 07777" => {
            "`64a` is no mode"
        }
        "invalid chmod parameter: '10000'. it should be octal string and between 0 and 07777" => {
            "`10000` is no mode"
        }
        "target stage \"bulid\" could not be found (did you mean build?)" => "use `build`",
        "unknown flag: --mont" => "use `--mount`",
        "unexpected key 'typ'" => "use `type`",
        "unsupported mount type \"tmp\"" => "use `tmpfs`",
        "cannot copy from stage" => "comes after this one",
        "dockerfile contains no stages to build" => "there is no `FROM`",
        "secret mysecret: not found" => return Ok(None),
        other => return Err(format!("a new kind of error: {other}")),
    }))
}

fn buildkit(corpus: &mut Corpus) {
    let index = corpus.table("buildkit-dockerfile/index.json");
    for case in rows(&index["cases"]) {
        for step in rows(&case["steps"]) {
            corpus.row(format!("plans/buildkit/{}/{}", text(&case["id"]), step["n"]), move || {
                let mut options = options(&step);
                let attributes = step["frontend_attrs"].as_object().cloned().unwrap_or_default();
                let contexts = attributes.keys().filter_map(|key| key.strip_prefix("context:"));
                options.contexts = contexts.map(str::to_owned).collect::<BTreeSet<_>>();
                let theirs = step["error_contains"].as_array().and_then(|all| all.first());
                let fact = theirs.map_or(Ok(None), |theirs| fact(&text(theirs)))?;
                // What the placeholder stands for is a host and a port.
                let content = text(&step["dockerfile"]).replace("{{REGISTRY}}", "localhost:5000");
                judge(&content, options, fact)
            });
        }
    }
}

/// `EXPOSE`, which is checked when variables have values.
fn ports(corpus: &mut Corpus) {
    let table = corpus.table("buildkit-instructions/expose.json");
    let exposed = |spec: &str| {
        let content = format!(
            "FROM scratch\nARG PORT={spec}\nEXPOSE {}",
            if spec.is_empty() { "\"\"" } else { "$PORT" }
        );
        let plan = Plan::new(&content, Options::default()).ok()?;
        let evaluated = plan.evaluate(plan.target(), &Base::scratch()).ok()?;
        evaluated.steps.iter().find_map(|step| match &step.action {
            boxwright_dockerfile::plan::Action::Expose(ports) => Some(ports.clone()),
            _ => None,
        })
    };
    for (number, case) in rows(&table["errors"]).into_iter().enumerate() {
        corpus.row(format!("instructions/expose/errors/{number}"), move || {
            crate::same(&exposed(&text(&case["spec"])), &None)
        });
    }
    for list in ["ipv6", "full"] {
        for (number, case) in rows(&table[list]).into_iter().enumerate() {
            corpus.row(format!("instructions/expose/{list}/{number}"), move || {
                crate::same(
                    &exposed(&text(&case["spec"])),
                    &Some(crate::strings(&case["expected"])),
                )
            });
        }
    }
}
