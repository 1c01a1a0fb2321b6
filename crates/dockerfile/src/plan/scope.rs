//! The variables that are set at one place of a stage.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::expand::Variables;

use super::step::Base;

/// The search path of an image that has none.
pub(super) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The variables of a stage while it is evaluated.
#[derive(Debug)]
pub(super) struct Scope {
    /// What is set, by `ENV` and by `ARG`.
    values: BTreeMap<String, String>,
    /// The config's variables in their order, and where each is.
    env: Vec<(String, String)>,
    places: HashMap<String, usize>,
    /// What was set, in order, so that each step can know its own environment without a copy of all of it.
    pub(super) assignments: Vec<(String, String)>,
    /// The build arguments that are declared, with their values.
    pub(super) declared: Vec<(String, Option<String>)>,
    names: BTreeSet<String>,
}

impl Variables for Scope {
    fn value(&self, name: &str) -> Option<&str> {
        self.values.value(name)
    }
}

impl Scope {
    pub(super) fn new(base: &Base) -> Self {
        let mut scope = Self {
            values: base.values.clone(),
            env: base.env.clone(),
            places: base.env.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect(),
            assignments: Vec::new(),
            declared: base.declared.clone(),
            names: base.declared.iter().map(|(name, _)| name.clone()).collect(),
        };
        if !scope.places.contains_key("PATH") {
            scope.set_env("PATH", DEFAULT_PATH);
        }
        scope
    }

    /// Sets a variable of the config.
    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        match self.places.get(name) {
            Some(&at) => value.clone_into(&mut self.env[at].1),
            None => {
                self.places.insert(name.to_owned(), self.env.len());
                self.env.push((name.to_owned(), value.to_owned()));
            }
        }
        self.set(name, value);
    }

    /// Declares a build argument.
    pub(super) fn declare(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.set(name, value);
        }
        self.names.insert(name.to_owned());
        self.declared.push((name.to_owned(), value.map(str::to_owned)));
    }

    fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
        self.assignments.push((name.to_owned(), value.to_owned()));
    }

    /// Whether `name` is declared, with a value or without.
    pub(super) fn is_declared(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The names that have values.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// What is left at the end of the stage: the config's variables, all values, and what is declared.
    pub(super) fn finish(self, rest: Base) -> (Base, Vec<(String, String)>) {
        (
            Base { env: self.env, values: self.values, declared: self.declared, ..rest },
            self.assignments,
        )
    }
}
