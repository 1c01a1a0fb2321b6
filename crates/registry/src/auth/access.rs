//! What a request needs the right to.

use std::collections::BTreeSet;

/// What is done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Pull,
    Push,
}

/// What a request needs the right to: one repository, and perhaps reading others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) repository: String,
    pub(crate) action: Action,
    /// Repositories that blobs are mounted from.
    pub(crate) also_pull: BTreeSet<String>,
}

impl Access {
    pub(crate) fn new(repository: impl Into<String>, action: Action) -> Self {
        Self { repository: repository.into(), action, also_pull: BTreeSet::new() }
    }

    /// Returns the scopes that a token must have for it.
    // SPEC: distribution, "Token scope": `repository:NAME:ACTION[,ACTION]`.
    pub(crate) fn scopes(&self) -> BTreeSet<String> {
        let actions = match self.action {
            Action::Pull => "pull",
            Action::Push => "pull,push",
        };
        let mut scopes = BTreeSet::from([format!("repository:{}:{actions}", self.repository)]);
        scopes.extend(self.also_pull.iter().map(|name| format!("repository:{name}:pull")));
        scopes
    }
}
