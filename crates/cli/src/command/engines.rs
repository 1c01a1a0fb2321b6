//! `boxwright engines`: every engine, and what became of the search for it.

use std::process::ExitCode;

use boxwright_core::{Catalog, Detection, EngineName, Error, Instance, Survey};
use boxwright_engines::Settings;
use serde_json::{Value, json};

use crate::app::App;
use crate::args::{EnginesArgs, Format};
use crate::exit_code::Outcome;
use crate::render::{Ink, Paint, Table, render_remark};

pub(super) async fn run(args: &EnginesArgs, app: &App) -> Outcome {
    let settings = app.settings(&args.engine)?;
    let catalog = app.catalog(&settings)?;
    let surveys = tokio::select! {
        biased;
        () = app.cancel.cancelled() => return Err(boxwright_core::Session::cancelled().into()),
        surveys = catalog.detect(&app.host) => surveys,
    };
    let chosen = chosen(&settings, &catalog, &surveys);
    match args.format.format {
        Format::Json => app.console.json(&object(&surveys, chosen.as_ref()))?,
        Format::Text => {
            app.console.data(&text(&surveys, chosen.as_ref(), app))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What `boxwright build` would use, and why.
struct Chosen<'a> {
    instance: &'a Instance,
    because: String,
}

/// Chooses as [`boxwright_core::Catalog::choose`] does, among what was found already.
fn chosen<'a>(settings: &Settings, catalog: &Catalog, surveys: &'a [Survey]) -> Option<Chosen<'a>> {
    let ready = |name: &str| {
        let survey = surveys.iter().find(|survey| survey.engine.as_str() == name)?;
        survey.detections.iter().find_map(|found| match found {
            Detection::Ready(instance) => Some(instance),
            _ => None,
        })
    };
    match settings.choices().first() {
        Some(choice) if choice.engine != "auto" => {
            let instance = ready(&choice.engine)?;
            Some(Chosen { instance, because: choice.origin.clone() })
        }
        _ => {
            let names = catalog.preference().iter().map(EngineName::as_str);
            let instance = names.clone().find_map(ready)?;
            let names = names.collect::<Vec<_>>().join(", ");
            let because = format!("the first ready one of {names}");
            Some(Chosen { instance, because })
        }
    }
}

fn object(surveys: &[Survey], chosen: Option<&Chosen<'_>>) -> Value {
    let engines: Vec<Value> = surveys
        .iter()
        .flat_map(|survey| survey.detections.iter().map(|found| detection(survey, found)))
        .collect();
    let chosen = chosen.map(|it| {
        json!({ "engine": it.instance.engine, "endpoint": it.instance.endpoint, "because": it.because })
    });
    json!({ "chosen": chosen, "engines": engines })
}

fn detection(survey: &Survey, found: &Detection) -> Value {
    match found {
        Detection::Ready(instance) => {
            let mut value = json!(instance);
            value["state"] = "ready".into();
            value
        }
        Detection::Unusable { place, error } => json!({
            "engine": survey.engine,
            "state": "unusable",
            "endpoint": place,
            "message": error.to_string(),
            "causes": error.causes(),
            "remedy": error.remedy(),
        }),
        Detection::Absent { place } => {
            json!({ "engine": survey.engine, "state": "absent", "place": place })
        }
    }
}

fn text(surveys: &[Survey], chosen: Option<&Chosen<'_>>, app: &App) -> String {
    let paint = app.console.paint_out();
    let header = ["ENGINE", "STATE", "VERSION", "BUILDS WITH", "ROOTLESS", "STORAGE", "ENDPOINT"];
    let mut table = Table::new(&header);
    let mut remarks = String::new();
    for survey in surveys {
        let name = survey.engine.as_str();
        let mut places = Vec::new();
        for found in &survey.detections {
            match found {
                Detection::Ready(it) => {
                    ready_row(&mut table, it);
                    if !it.notes.is_empty() {
                        remarks += &render_remark(name, &it.notes.join(", "), &[], None, paint);
                    }
                }
                Detection::Unusable { place, error } => {
                    table.row(&[name, "unusable", "", "", "", "", place]);
                    table.ink(1, Ink::Red);
                    remarks += &unusable(name, place, error, paint);
                }
                Detection::Absent { place } => places.push(place.clone()),
            }
        }
        if !places.is_empty() && places.len() == survey.detections.len() {
            table.row(&[name, "absent", "", "", "", "", ""]);
            table.ink(1, Ink::Dim);
        }
        // Where another instance answered, it does not matter where none was.
        if !survey.detections.iter().any(|it| matches!(it, Detection::Ready(_))) {
            remarks += &absent(name, &places, paint);
        }
    }
    let mut out = table.render(paint);
    if !remarks.is_empty() {
        out += "\n";
        out += &remarks;
    }
    let usage = match chosen {
        Some(Chosen { instance, because }) => {
            let name = paint.ink(Ink::Bold, instance.engine.as_str());
            format!("`boxwright build` uses {name} at {} ({because})", instance.endpoint)
        }
        None => "`boxwright build` has no engine to use".to_owned(),
    };
    format!("{out}\n{usage}\n")
}

fn ready_row(table: &mut Table, it: &Instance) {
    let rootless = match it.rootless {
        Some(true) => "yes",
        Some(false) => "no",
        None => "",
    };
    let storage = it.storage_driver.as_deref().unwrap_or_default();
    let endpoint = format!("{} ({})", it.endpoint, it.source);
    let builders = it.builders.join(", ");
    let name = it.engine.as_str();
    table.row(&[name, "ready", &it.version, &builders, rootless, storage, &endpoint]);
    table.ink(1, Ink::Green);
}

/// Says where an engine was looked for, or why it cannot be anywhere.
fn absent(name: &str, places: &[String], paint: Paint) -> String {
    match places {
        [] => String::new(),
        [one] if one.contains('/') => {
            render_remark(name, &format!("nothing at {one}"), &[], None, paint)
        }
        [one] => render_remark(name, one, &[], None, paint),
        many => render_remark(name, "nothing at any of these places", many, None, paint),
    }
}

fn unusable(name: &str, place: &str, error: &Error, paint: Paint) -> String {
    let mut lines = vec![error.to_string()];
    lines.extend(error.causes().into_iter().map(|cause| format!("caused by: {cause}")));
    render_remark(name, &format!("unusable at {place}"), &lines, error.remedy(), paint)
}
