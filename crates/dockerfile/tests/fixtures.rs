//! Dockerfiles beside what is to come of them: `fixtures/NAME/Dockerfile` and `expected.txt`. A fixture may have
//! `options.txt`, with lines such as `target NAME`, `build-arg A=B`, `context NAME`, `trigger TEXT`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use boxwright_dockerfile::diagnostic::Diagnostic;
use boxwright_dockerfile::plan::{Action, Base, Evaluated, Options, Plan, Source, StageId, Step};
use libtest_mimic::{Arguments, Trial};

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut names: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the folder of fixtures is there")
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    names.sort();
    assert!(!names.is_empty(), "there are no fixtures");
    let trials = names.into_iter().map(|path| {
        let name = path.file_name().expect("a fixture has a name").to_string_lossy().into_owned();
        Trial::test(name, move || check(&path).map_err(Into::into))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

fn check(path: &Path) -> Result<(), String> {
    let read = |name: &str| {
        std::fs::read_to_string(path.join(name)).map_err(|error| format!("{name}: {error}"))
    };
    let text = read("Dockerfile")?;
    let (options, triggers) = options(&read("options.txt").unwrap_or_default())?;
    let ours = match outcome(&text, options, &triggers) {
        Ok(ours) => ours,
        Err(problems) => rendered(&problems, &text),
    };
    let expected = read("expected.txt")?;
    if ours == expected {
        Ok(())
    } else {
        Err(format!("\n--- expected\n{expected}\n--- ours\n{ours}"))
    }
}

fn options(text: &str) -> Result<(Options, Vec<String>), String> {
    let platform = "linux/amd64".parse().map_err(|error| format!("{error}"))?;
    let mut options = Options { platform, ..Options::default() };
    options.build_platform = options.platform.clone();
    let mut triggers = Vec::new();
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("target", name)) => options.target = Some(name.to_owned()),
            Some(("context", name)) => {
                options.contexts.insert(name.to_owned());
            }
            Some(("trigger", text)) => triggers.push(text.to_owned()),
            Some(("build-arg", pair)) => {
                let (name, value) = pair.split_once('=').ok_or("a build argument has no value")?;
                options.build_args.insert(name.to_owned(), value.to_owned());
            }
            _ => return Err(format!("an unknown option: {line}")),
        }
    }
    Ok((options, triggers))
}

fn outcome(text: &str, options: Options, triggers: &[String]) -> Result<String, Vec<Diagnostic>> {
    let mut plan = Plan::new(text, options)?;
    let first =
        plan.needed().find(|stage| matches!(stage.base, Source::Image(_))).map(|stage| stage.id);
    if let Some(first) = first.filter(|_| !triggers.is_empty()) {
        plan.add_triggers(first, triggers)?;
    }
    let features: Vec<&str> = plan.features().iter().map(|it| it.as_str()).collect();
    let mut out = format!("features: {}\n", features.join(", "));
    let unused = plan.unused_build_args();
    if !unused.is_empty() {
        let _ = writeln!(out, "unused: {}", unused.join(", "));
    }
    let mut problems = plan.warnings().to_vec();
    let mut results: BTreeMap<StageId, Base> = BTreeMap::new();
    for stage in plan.needed() {
        let base = match &stage.base {
            Source::Stage(id) => results[id].clone(),
            Source::Scratch => Base::scratch(),
            // An image that sets a search path and a home.
            _ => Base::of_image(&["PATH=/bin".to_owned(), "HOME=/root".to_owned()], "", "", &[]),
        };
        let name = stage.name.as_deref().unwrap_or("-");
        let platform = stage.platform.as_ref().map_or_else(String::new, |it| format!(" on {it}"));
        let _ = writeln!(out, "stage {} {name} from {:?}{platform}", stage.id.0, stage.base);
        let evaluated = plan.evaluate(stage.id, &base)?;
        evaluated.steps.iter().for_each(|step| out += &shown(step, &evaluated));
        problems.extend(evaluated.warnings.iter().cloned());
        results.insert(stage.id, evaluated.result);
    }
    Ok(out + &rendered(&problems, text))
}

fn shown(step: &Step, evaluated: &Evaluated) -> String {
    let mark = if step.triggered { "  (triggered) " } else { "  " };
    let mut out =
        format!("{mark}{}\n", evaluated.created_by(step).unwrap_or_else(|| step.text.clone()));
    match &step.action {
        Action::Run(run) => {
            let _ = writeln!(
                out,
                "      {:?} in {} as `{}`",
                run.arguments, run.working_directory, run.user
            );
            let environment = evaluated.environment(run);
            let environment: Vec<String> = environment
                .iter()
                .filter(|(name, _)| *name != "PATH")
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let _ = writeln!(out, "      with {environment:?}");
            run.script.iter().for_each(|script| out += &format!("      {script:?}\n"));
            run.mounts.iter().for_each(|mount| {
                out += &format!("      {:?} from {:?}\n", mount.mount, mount.source)
            });
        }
        Action::Copy(copy) => {
            let folder = if copy.into_folder { " as a folder" } else { "" };
            let _ = writeln!(
                out,
                "      to {}{folder} from {:?}, mode {:?}",
                copy.destination, copy.source, copy.mode
            );
            copy.items.iter().for_each(|item| out += &format!("      {item:?}\n"));
        }
        _ => {}
    }
    out
}

fn rendered(problems: &[Diagnostic], text: &str) -> String {
    problems.iter().map(|it| it.render("Dockerfile", text)).collect()
}
