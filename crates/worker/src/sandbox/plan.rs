//! What the worker tells the process that makes a sandbox, and what that answers.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use boxwright_core::{Error, ErrorKind, Result, Secret};
use boxwright_image::overlay::{Marks, Owners};
use serde::{Deserialize, Serialize};

/// The most that one part of a message may have: 64 MiB.
const MOST_BYTES: u32 = 64 << 20;

/// A step, with every path and id found. Nothing in it is secret; the contents of files travel beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The folder that the other folders of the store are below.
    pub(super) store: PathBuf,
    /// The folder for this step, below it.
    pub(super) work: PathBuf,
    /// How layers are stacked up.
    #[serde(with = "marks")]
    pub(super) marks: Marks,
    /// The layers, uppermost first, below the store's folder.
    pub(super) layers: Vec<PathBuf>,
    /// Whether other owners and groups are to be had.
    pub(super) has_owners: bool,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    /// Variables whose values are contents.
    pub(super) secret_environment: Vec<(String, usize)>,
    pub(super) user: String,
    pub(super) working_directory: String,
    pub(super) mounts: Vec<Mount>,
    /// The content with certificates that the step trusts too.
    pub(super) certificates: Option<usize>,
    pub(super) network: Network,
    pub(super) shm_size: u64,
    pub(super) most_processes: u64,
    /// The control groups that the step runs in.
    pub(super) groups: Vec<PathBuf>,
}

impl Plan {
    pub(super) fn owners(&self) -> Owners {
        if self.has_owners { Owners::Real } else { Owners::Noted }
    }
}

/// The network of a step.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Network {
    /// The worker's.
    Worker,
    /// None.
    None,
    /// That of the namespace behind this path.
    Namespace(PathBuf),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Mount {
    pub(super) target: String,
    pub(super) source: Source,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Source {
    /// A path in other layers. What is written is thrown away.
    Layers { layers: Vec<PathBuf>, path: String, writable: bool },
    /// A folder of the store, made from the seed when it is missing.
    Folder {
        path: PathBuf,
        seed: Option<(Vec<PathBuf>, String)>,
        mode: u32,
        owner: (u32, u32),
        writable: bool,
    },
    /// A folder in memory.
    Tmpfs { size: Option<u64> },
    /// A file with a content.
    File { content: usize, mode: u32, owner: (u32, u32), writable: bool },
    /// A socket of the worker.
    Socket { path: PathBuf, mode: u32, owner: (u32, u32) },
}

/// What the sandbox answers, one line each.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The step ended, and everything of it is gone.
    Exited(i32),
    /// It could not be started, or was cancelled.
    Failed(Failure),
}

/// An error on its way from one process to another.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    kind: String,
    message: String,
    causes: Vec<String>,
    remedy: Option<String>,
}

impl Failure {
    pub(super) fn new(error: &Error) -> Self {
        Self {
            kind: error.kind().as_str().to_owned(),
            message: error.to_string(),
            causes: error.causes(),
            remedy: error.remedy().map(ToOwned::to_owned),
        }
    }

    pub(super) fn into_error(self) -> Error {
        let kinds = [
            ErrorKind::Unsupported,
            ErrorKind::InvalidInput,
            ErrorKind::NotFound,
            ErrorKind::Cancelled,
            ErrorKind::Exhausted,
            ErrorKind::Conflict,
            ErrorKind::Bug,
        ];
        let kind = kinds.into_iter().find(|kind| kind.as_str() == self.kind);
        let mut error = Error::new(kind.unwrap_or(ErrorKind::Unavailable), self.message);
        if !self.causes.is_empty() {
            error = error.with_cause(self.causes.join(": "));
        }
        match self.remedy {
            Some(remedy) => error.with_remedy(remedy),
            None => error,
        }
    }
}

/// Sends a plan, and the contents that it names by their numbers.
pub(super) fn send(plan: &Plan, contents: &[Secret], mut to: impl Write) -> io::Result<()> {
    let plan = serde_json::to_vec(plan)?;
    let mut part = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).ok().filter(|&length| length <= MOST_BYTES);
        let length = length.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        to.write_all(&length.to_le_bytes())?;
        to.write_all(bytes)
    };
    part(&plan)?;
    part(&u32::try_from(contents.len()).unwrap_or(u32::MAX).to_le_bytes())?;
    contents.iter().try_for_each(|content| part(content.expose()))
}

/// Receives what [`send`] sends.
pub(super) fn receive(mut from: impl Read) -> io::Result<(Plan, Vec<Secret>)> {
    let mut part = || {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > MOST_BYTES {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let mut bytes = vec![0; length as usize];
        from.read_exact(&mut bytes)?;
        Ok(bytes)
    };
    let plan = serde_json::from_slice(&part()?)?;
    let count = part()?.try_into().map(u32::from_le_bytes);
    let count = count.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let contents = (0..count).map(|_| part().map(Secret::new)).collect::<io::Result<_>>()?;
    Ok((plan, contents))
}

/// Sends an answer, as one line.
pub(super) fn answer(answer: &Answer, mut to: impl Write) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Returns the error for an answer that cannot be read.
pub(super) fn no_answer() -> Error {
    Error::new(ErrorKind::Unavailable, "the step's sandbox ended early")
        .with_cause("something killed it, perhaps for want of memory")
}

pub(super) fn to_result(line: &[u8]) -> Result<i32> {
    match serde_json::from_slice(line) {
        Ok(Answer::Exited(status)) => Ok(status),
        Ok(Answer::Failed(failure)) => Err(failure.into_error()),
        Err(_) => Err(no_answer()),
    }
}

mod marks {
    use boxwright_image::overlay::Marks;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(marks: &Marks, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(match marks {
            Marks::Trusted => "trusted",
            Marks::User => "user",
            Marks::Names => "names",
        })
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Marks, D::Error> {
        match String::deserialize(from)?.as_str() {
            "trusted" => Ok(Marks::Trusted),
            "user" => Ok(Marks::User),
            "names" => Ok(Marks::Names),
            _ => Err(D::Error::custom("unknown marks")),
        }
    }
}
