//! What a running environment consists of, kept in its folder so that any later run can end it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::processes::Process;
use crate::problem::{Explain, Problem, Result};

/// The content of `state.json`. It is written before each thing that outlives a process, not after.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct State {
    /// The process that holds all others.
    pub(crate) supervisor: Option<Process>,
    /// The setups that were asked for.
    #[serde(default)]
    pub(crate) setups: Vec<String>,
    /// How large the disk is that the data of each engine is on, in MB, if it is one of its own.
    #[serde(default)]
    pub(crate) disk: Option<u32>,
    /// Daemons that were started directly.
    pub(crate) daemons: Vec<Process>,
    /// The user that was made for rootless engines.
    pub(crate) made_user: Option<String>,
    /// Bridges that this environment's engines have.
    pub(crate) bridges: Vec<String>,
    /// Subnets of those bridges.
    pub(crate) subnets: Vec<String>,
    /// Folders outside of the environment's that had to be there and were not; removed if still empty.
    pub(crate) made_folders: Vec<PathBuf>,
    /// Whether netavark's chains were there before.
    pub(crate) had_netavark_chains: bool,
    /// What tests read, once all is ready.
    pub(crate) variables: BTreeMap<String, String>,
}

impl State {
    /// Reads the state in the folder of `layout`, or `None` if there is none.
    pub(crate) fn read(layout: &Layout) -> Result<Option<Self>> {
        let path = layout.state_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(Problem::new(format!("cannot read `{}`", path.display())).cause(error));
            }
        };
        let state = serde_json::from_str(&text);
        state.map(Some).explain(|| format!("cannot read `{}`", path.display()))
    }

    /// Writes the state, so that a reader finds the old or the new one and never half of it.
    pub(crate) fn write(&self, layout: &Layout) -> Result<()> {
        let path = layout.state_file();
        let new = path.with_extension("json.new");
        let write = || -> std::io::Result<()> {
            fs::write(&new, serde_json::to_vec_pretty(self)?)?;
            fs::rename(&new, &path)
        };
        write().explain(|| format!("cannot write `{}`", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::State;
    use crate::environment::layout::Layout;

    #[test]
    fn a_state_reads_back_and_a_missing_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path()).unwrap();
        assert!(State::read(&layout).unwrap().is_none());
        let state = State { made_user: Some("bw1".to_owned()), ..State::default() };
        state.write(&layout).unwrap();
        assert_eq!(State::read(&layout).unwrap().unwrap().made_user.as_deref(), Some("bw1"));
    }
}
