//! Instructions that change the config and no file.

use boxwright_core::Result;
use serde_json::{Value, json};

use super::dockerfile::Instruction;
use super::stage::Stage;
use super::words::{expand, pairs, split};

/// Applies an instruction to the config of a stage. Returns whether it was one of these.
pub(super) fn apply(stage: &mut Stage, instruction: &Instruction) -> Result<bool> {
    let variables = stage.variables();
    let expanded = expand(&instruction.rest, &variables);
    let command = |stage: &Stage| {
        let shell = || [stage.shell(), vec![instruction.rest.clone()]].concat();
        instruction.json().unwrap_or_else(shell)
    };
    match instruction.name.as_str() {
        "ENV" => {
            for (name, value) in pairs(&expanded) {
                stage.set_variable(&name, &value);
            }
        }
        "LABEL" => stage.config.config.labels.extend(pairs(&expanded)),
        "CMD" => {
            stage.config.config.cmd = Some(command(stage));
            stage.has_command = true;
        }
        "ENTRYPOINT" => {
            stage.config.config.entrypoint = Some(command(stage));
            // SPEC: Dockerfile reference, ENTRYPOINT: "If CMD is defined from the base image, setting
            // ENTRYPOINT will reset CMD to an empty value."
            if !stage.has_command {
                stage.config.config.cmd = None;
            }
        }
        "SHELL" => stage.config.config.shell = instruction.json(),
        "USER" => stage.config.config.user = expanded.trim().to_owned(),
        "STOPSIGNAL" => stage.config.config.stop_signal = Some(expanded.trim().to_owned()),
        "EXPOSE" => {
            for port in split(&expanded) {
                let port = if port.contains('/') { port } else { format!("{port}/tcp") };
                stage.config.config.exposed_ports.insert(port, json!({}));
            }
        }
        "VOLUME" => {
            let volumes = instruction.json().unwrap_or_else(|| split(&expanded));
            let volumes = volumes.into_iter().map(|volume| (volume, json!({})));
            stage.config.config.volumes.extend(volumes);
        }
        "HEALTHCHECK" => stage.config.config.healthcheck = Some(healthcheck(stage, instruction)),
        "MAINTAINER" => {
            stage.config.other.insert("author".to_owned(), Value::String(expanded.clone()));
        }
        "ONBUILD" => {
            let triggers = stage.config.config.on_build.get_or_insert_default();
            triggers.push(instruction.rest.clone());
        }
        _ => return Ok(false),
    }
    stage.step(&format!("{} {expanded}", instruction.name));
    stage.note(&format!("{} {}", instruction.name, instruction.rest), false);
    Ok(true)
}

fn healthcheck(stage: &Stage, instruction: &Instruction) -> Value {
    let (kind, rest) =
        instruction.rest.split_once(char::is_whitespace).unwrap_or((&instruction.rest, ""));
    if kind.eq_ignore_ascii_case("NONE") {
        return json!({ "Test": ["NONE"] });
    }
    let mut test = match serde_json::from_str::<Vec<String>>(rest) {
        Ok(exec) => [vec!["CMD".to_owned()], exec].concat(),
        Err(_) => vec!["CMD-SHELL".to_owned(), rest.trim().to_owned()],
    };
    if let (Some(shell), "CMD-SHELL") = (&stage.config.config.shell, test[0].as_str()) {
        let exec = [vec!["CMD".to_owned()], shell.clone(), vec![rest.trim().to_owned()]];
        test = exec.concat();
    }
    let mut check = json!({ "Test": test });
    for (flag, field) in
        [("interval", "Interval"), ("timeout", "Timeout"), ("start-period", "StartPeriod")]
    {
        if let Some(nanoseconds) = instruction.flag(flag).and_then(duration) {
            check[field] = nanoseconds.into();
        }
    }
    if let Some(retries) = instruction.flag("retries").and_then(|n| n.parse::<u64>().ok()) {
        check["Retries"] = retries.into();
    }
    check
}

/// Returns nanoseconds.
fn duration(text: &str) -> Option<u64> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[number.len()..] {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok().map(|number| number * unit)
}
