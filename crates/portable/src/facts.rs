//! What was found out of the files of a context.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use boxwright_context::{Entry, Stamp};
use boxwright_core::Digest;

use crate::memory::FileMemory;

/// What only a look at the file itself tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
    /// `None` of what is no regular file.
    pub(crate) digest: Option<Digest>,
}

/// What is known of the files of a context, by this build or by those before it.
#[derive(Debug)]
pub(crate) struct Facts {
    /// When the context was listed: what changed shortly before is not remembered.
    listed: SystemTime,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    memory: FileMemory,
    /// By the stamp alone: hard links of one file have one fact.
    found: HashMap<Stamp, Fact>,
}

impl Facts {
    pub(crate) fn new(memory: FileMemory, listed: SystemTime) -> Self {
        Self { listed, inner: Mutex::new(Inner { memory, found: HashMap::new() }) }
    }

    pub(crate) fn find(&self, entry: &Entry) -> Option<Fact> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = inner.found.get(&entry.stamp) {
            return Some(found.clone());
        }
        let known = inner.memory.find(Path::new(&entry.path), &entry.stamp)?;
        Some(Fact { xattrs: BTreeMap::new(), digest: known.digest })
    }

    pub(crate) fn learn(&self, entry: &Entry, fact: &Fact) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // What has attributes is looked at again: the memory has no room for them.
        if fact.xattrs.is_empty() {
            let path = Path::new(&entry.path);
            inner.memory.learn(path, &entry.stamp, fact.digest.as_ref(), self.listed);
        }
        inner.found.insert(entry.stamp, fact.clone());
    }

    /// Forgets what earlier builds found out.
    pub(crate) fn forget(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).memory.forget();
    }

    pub(crate) fn save(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // A store that cannot be written fails what needs it; a memory is a help.
        let _ = inner.memory.save();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use boxwright_context::Context;
    use boxwright_core::DockerfileSource;
    use boxwright_dockerfile::plan::{Action, Base, Options, Plan};
    use boxwright_testkit::ContextFolder;

    use super::*;
    use crate::fetch::AllFetched;
    use crate::files::Files;
    use crate::select::{self, Unread};

    const HOUR: Duration = Duration::from_secs(3600);

    struct Bench {
        folder: ContextFolder,
        index: ContextFolder,
    }

    impl Bench {
        fn new() -> Self {
            let folder = ContextFolder::with_dockerfile("FROM scratch\nCOPY in /\n").unwrap();
            let folder = folder.file("in/a", 0o644, "a").unwrap().file("in/b", 0o644, "b").unwrap();
            Self { folder, index: ContextFolder::new().unwrap() }
        }

        /// Returns which files a build reads that lists the context at `listed`.
        fn read(&self, listed: SystemTime) -> Vec<String> {
            let context = Context::open(self.folder.path(), &DockerfileSource::Default).unwrap();
            let plan = Plan::new(context.dockerfile_text(), Options::default()).unwrap();
            let evaluated = plan.evaluate(plan.target(), &Base::scratch()).unwrap();
            let Action::Copy(copy) = &evaluated.steps[0].action else { panic!("it is a copy") };
            let memory = FileMemory::open(self.index.path(), self.folder.path());
            let files = Files::listed_at(context, memory, listed).unwrap();
            let mut selection = select::select(copy, &files, &AllFetched::new()).unwrap();
            let unread = Unread::of(&mut selection).files;
            select::complete(&mut selection, &files).unwrap();
            assert!(Unread::of(&mut selection).files.is_empty());
            files.save();
            unread.iter().map(|path| path.display().to_string()).collect()
        }
    }

    #[test]
    fn a_file_that_did_not_change_is_not_read_again() {
        let bench = Bench::new();
        let later = SystemTime::now() + HOUR;
        assert_eq!(bench.read(later), ["in/a", "in/b"]);
        assert_eq!(bench.read(later), [""; 0]);
        // As long as before, with the time that it had before: only the kernel's own time differs.
        let path = bench.folder.path().join("in/b");
        let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::fs::write(&path, "c").unwrap();
        std::fs::File::open(&path).unwrap().set_modified(modified).unwrap();
        assert_eq!(bench.read(later), ["in/b"]);
        assert_eq!(bench.read(later), [""; 0]);
    }

    #[test]
    fn a_file_that_changed_just_now_is_read_again() {
        let bench = Bench::new();
        let before = SystemTime::now() - HOUR;
        assert_eq!(bench.read(before), ["in/a", "in/b"]);
        assert_eq!(bench.read(before), ["in/a", "in/b"]);
    }
}
