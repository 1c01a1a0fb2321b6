//! How a step is written in the history of an image, as BuildKit writes it.

use std::collections::BTreeMap;

use super::evaluate::Evaluated;
use super::step::{Action, Health, RunStep, Step};

impl Evaluated {
    /// Returns what the history of the image says of a step, or `None` if it says nothing.
    #[must_use]
    pub fn created_by(&self, step: &Step) -> Option<String> {
        Some(match &step.action {
            Action::Run(run) => self.run(run),
            Action::Copy(copy) => format!("{} # buildkit", copy.created_by),
            Action::WorkingDirectory { path, .. } => format!("WORKDIR {path}"),
            Action::Arg(all) => {
                let written = all.iter().map(|(name, value)| match value {
                    Some(value) => format!("{name}={value}"),
                    None => name.clone(),
                });
                format!("ARG {}", written.collect::<Vec<_>>().join(" "))
            }
            Action::Env(pairs) => format!("ENV {}", joined(pairs)),
            Action::Label(pairs) => format!("LABEL {}", joined(pairs)),
            Action::User(user) => format!("USER {user}"),
            Action::Cmd(words) => format!("CMD {}", quoted(words)),
            Action::Entrypoint { arguments, .. } => format!("ENTRYPOINT {}", quoted(arguments)),
            Action::Expose(ports) => format!("EXPOSE [{}]", ports.join(" ")),
            Action::Volume(paths) => format!("VOLUME [{}]", paths.join(" ")),
            Action::Shell(words) => format!("SHELL [{}]", words.join(" ")),
            Action::Healthcheck(health) => self::health(health),
            Action::StopSignal(signal) => format!("STOPSIGNAL {signal}"),
            Action::Author(name) => format!("MAINTAINER {name}"),
            Action::OnBuild(_) => return None,
        })
    }

    fn run(&self, run: &RunStep) -> String {
        let environment = self.environment(run);
        let mut arguments: Vec<(&str, &str)> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, value) in self.result.declared.iter().take(run.declared) {
            let value = environment.get(name).or(value.as_ref()).map_or("", String::as_str);
            match places.get(name.as_str()) {
                Some(&at) => arguments[at].1 = value,
                None => {
                    places.insert(name, arguments.len());
                    arguments.push((name, value));
                }
            }
        }
        let mut words = vec!["RUN".to_owned()];
        if !arguments.is_empty() {
            words.push(format!("|{}", arguments.len()));
        }
        words.extend(arguments.iter().map(|(name, value)| format!("{name}={value}")));
        words.extend(run.arguments.iter().cloned());
        words.push("# buildkit".to_owned());
        words.join(" ")
    }
}

fn joined(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// Writes words as Go's `%q` writes a slice, for the characters that commands have.
fn quoted(words: &[String]) -> String {
    let words: Vec<String> =
        words.iter().map(|word| serde_json::Value::from(word.as_str()).to_string()).collect();
    format!("[{}]", words.join(" "))
}

fn health(health: &Health) -> String {
    format!(
        "HEALTHCHECK {{Test:[{}] Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        health.test.join(" "),
        time(health.interval),
        time(health.timeout),
        time(health.start_period),
        time(health.start_interval),
        health.retries
    )
}

/// Writes a length of time as Go does: `1m30s`, `1.5s`, `500ms`.
fn time(nanoseconds: u64) -> String {
    let fraction = |value: u64, scale: u64, unit: &str| {
        let digits = scale.ilog10() as usize;
        let rest = format!("{:0digits$}", value % scale);
        let rest = if scale == 1 { "" } else { rest.trim_end_matches('0') };
        let point = if rest.is_empty() { "" } else { "." };
        format!("{}{point}{rest}{unit}", value / scale)
    };
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => fraction(nanoseconds, 1, "ns"),
        1_000..1_000_000 => fraction(nanoseconds, 1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(nanoseconds, 1_000_000, "ms"),
        _ => {
            let minutes = nanoseconds / 60_000_000_000;
            let seconds = fraction(nanoseconds % 60_000_000_000, 1_000_000_000, "s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_written_as_go_does() {
        for (nanoseconds, expected) in [
            (0, "0s"),
            (1_500_000, "1.5ms"),
            (30_000_000_000, "30s"),
            (90_500_000_000, "1m30.5s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(time(nanoseconds), expected);
        }
    }
}
