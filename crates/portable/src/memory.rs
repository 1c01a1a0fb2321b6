//! Digests of files that were read before, so that what has not changed is not read again.
//!
//! A record stands for a file of one path, size, time of its content, time of its last change, inode and
//! device. The kernel sets the time of the last change and no program can, so another content has another
//! record; only what changed within the clock's granularity of being looked at is not remembered.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use boxwright_context::Stamp;
use boxwright_core::Digest;
use sha2::{Digest as _, Sha256};

/// What the file begins with. Another version is as good as nothing.
const MAGIC: &[u8; 16] = b"boxwright-files1";
/// The key, the day it was used last and the digest.
const RECORD: usize = 16 + 4 + 32;
/// A checksum ends the file.
const CHECKSUM: usize = 32;
/// A record that no build used for so many days is dropped.
const DAYS: u32 = 30;
/// The most that is kept of one folder: 200 MB of records.
const MOST: usize = 4_000_000;
/// The digest of what has none, such as a folder.
const NOTHING: [u8; 32] = [0; 32];

type Key = [u8; 16];

/// What is known of the files of one folder.
#[derive(Debug, Default)]
pub(crate) struct FileMemory {
    /// Empty for what is kept nowhere.
    path: PathBuf,
    /// Sorted by their keys.
    records: Vec<u8>,
    /// What this build found out.
    learned: Vec<(Key, [u8; 32])>,
    /// Keys that this build asked for.
    used: Vec<Key>,
}

/// What is remembered of a file: that it has no extended attributes, and its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// `None` of what is no regular file.
    pub(crate) digest: Option<Digest>,
}

impl FileMemory {
    /// Reads what `index` knows of the files of `folder`. What cannot be read is not known.
    pub(crate) fn open(index: &Path, folder: &Path) -> Self {
        use std::os::unix::ffi::OsStrExt as _;
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let name = boxwright_image::manifest::digest_of(folder.as_os_str().as_bytes());
        let path = index.join(name.hex());
        let records = read(&path).unwrap_or_default();
        Self { path, records, learned: Vec::new(), used: Vec::new() }
    }

    /// Returns what is known of a file.
    pub(crate) fn find(&mut self, path: &Path, stamp: &Stamp) -> Option<Remembered> {
        let key = key(path, stamp);
        let digest = look_up(&self.records, &key)?;
        self.used.push(key);
        let digest = (digest != NOTHING).then(|| Digest::from_sha256(digest));
        Some(Remembered { digest })
    }

    /// Notes what was found out of a file without extended attributes that was listed at `listed`, unless it
    /// changed so shortly before that a later change could look the same.
    pub(crate) fn learn(
        &mut self,
        path: &Path,
        stamp: &Stamp,
        digest: Option<&Digest>,
        listed: SystemTime,
    ) {
        if is_racy(stamp, listed) {
            return;
        }
        let digest = match digest {
            Some(digest) => match bytes_of(digest) {
                Some(bytes) => bytes,
                None => return,
            },
            None => NOTHING,
        };
        self.learned.push((key(path, stamp), digest));
    }

    /// Forgets everything of the folder: something known turned out to be wrong.
    pub(crate) fn forget(&mut self) {
        // What cannot be removed is found wrong again.
        let _ = fs::remove_file(&self.path);
        *self = Self { path: std::mem::take(&mut self.path), ..Self::default() };
    }

    /// Keeps what was learned, together with what others learned meanwhile. Who writes last wins, and what
    /// is lost so is read again.
    pub(crate) fn save(&mut self) -> io::Result<()> {
        if self.learned.is_empty() || self.path.as_os_str().is_empty() {
            return Ok(());
        }
        let today = today();
        self.used.sort_unstable();
        let mut all: std::collections::BTreeMap<Key, (u32, [u8; 32])> = read(&self.path)
            .unwrap_or_default()
            .chunks_exact(RECORD)
            .filter_map(parse)
            .map(|(key, day, digest)| {
                let used = self.used.binary_search(&key).is_ok();
                (key, (if used { today } else { day }, digest))
            })
            .filter(|(_, (day, _))| day.saturating_add(DAYS) >= today)
            .collect();
        all.extend(self.learned.drain(..).map(|(key, digest)| (key, (today, digest))));
        let mut bytes = Vec::with_capacity(MAGIC.len() + all.len() * RECORD + CHECKSUM);
        bytes.extend(MAGIC);
        for (key, (day, digest)) in all.into_iter().take(MOST) {
            bytes.extend(key);
            bytes.extend(day.to_be_bytes());
            bytes.extend(digest);
        }
        self.records = bytes[MAGIC.len()..].to_vec();
        let checksum = Sha256::digest(&bytes);
        bytes.extend(checksum);
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        file.write_all(&bytes)?;
        file.persist(&self.path)?;
        Ok(())
    }
}

/// Returns the records of a file that is whole.
fn read(path: &Path) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
    let count = length.checked_sub(MAGIC.len() + CHECKSUM)? / RECORD;
    if count > MOST || length != MAGIC.len() + count * RECORD + CHECKSUM {
        return None;
    }
    let mut bytes = Vec::with_capacity(length);
    file.read_to_end(&mut bytes).ok()?;
    let checksum = bytes.split_off(bytes.len().checked_sub(CHECKSUM)?);
    let is_whole = bytes.starts_with(MAGIC) && *checksum == *Sha256::digest(&bytes);
    is_whole.then(|| bytes.split_off(MAGIC.len()))
}

fn parse(record: &[u8]) -> Option<(Key, u32, [u8; 32])> {
    let key = record.get(..16)?.try_into().ok()?;
    let day = u32::from_be_bytes(record.get(16..20)?.try_into().ok()?);
    Some((key, day, record.get(20..)?.try_into().ok()?))
}

fn look_up(records: &[u8], key: &Key) -> Option<[u8; 32]> {
    let (mut from, mut to) = (0, records.len() / RECORD);
    while from < to {
        let middle = from.midpoint(to);
        let (found, _, digest) = parse(records.get(middle * RECORD..(middle + 1) * RECORD)?)?;
        match found.cmp(key) {
            std::cmp::Ordering::Equal => return Some(digest),
            std::cmp::Ordering::Less => from = middle + 1,
            std::cmp::Ordering::Greater => to = middle,
        }
    }
    None
}

fn key(path: &Path, stamp: &Stamp) -> Key {
    use std::os::unix::ffi::OsStrExt as _;
    let mut hasher = Sha256::new();
    for number in [stamp.device, stamp.inode, stamp.size] {
        hasher.update(number.to_be_bytes());
    }
    for (seconds, nanoseconds) in [stamp.modified, stamp.changed] {
        hasher.update(seconds.to_be_bytes());
        hasher.update(nanoseconds.to_be_bytes());
    }
    hasher.update(path.as_os_str().as_bytes());
    let whole = hasher.finalize();
    std::array::from_fn(|index| whole[index])
}

/// Whether a later change could leave the file with the same times. File systems that know seconds alone have
/// zeros behind them; the clock of the others ticks every few milliseconds.
fn is_racy(stamp: &Stamp, listed: SystemTime) -> bool {
    let granularity = match stamp.changed.1 {
        0 => Duration::from_secs(2),
        _ => Duration::from_millis(50),
    };
    let since = |(seconds, nanoseconds): (i64, u32)| {
        let seconds = u64::try_from(seconds).unwrap_or_default();
        UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
    };
    let latest = since(stamp.changed).and_then(|time| time.checked_add(granularity));
    latest.is_none_or(|latest| latest >= listed)
}

fn bytes_of(digest: &Digest) -> Option<[u8; 32]> {
    let hex = digest.hex();
    let byte = |index: usize| u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..32).map(byte).collect::<Option<_>>()?;
    (digest.algorithm() == "sha256").then(|| bytes.try_into().ok())?
}

fn today() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs() / 86_400).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_image::manifest::digest_of;

    fn stamp(inode: u64) -> Stamp {
        let old = (1_700_000_000, 5);
        Stamp { device: 1, inode, size: 3, modified: old, changed: old }
    }

    fn digest_at(memory: &mut FileMemory, path: &str, stamp: &Stamp) -> Option<Digest> {
        memory.find(Path::new(path), stamp).and_then(|known| known.digest)
    }

    #[test]
    fn every_part_of_the_stamp_counts() {
        let index = tempfile::tempdir().unwrap();
        let open = || FileMemory::open(index.path(), Path::new("/context"));
        let mut memory = open();
        let digest = digest_of(b"abc");
        let now = SystemTime::now();
        memory.learn(Path::new("a"), &stamp(7), Some(&digest), now);
        memory.learn(Path::new("folder"), &stamp(8), None, now);
        memory.save().unwrap();

        let mut memory = open();
        assert_eq!(digest_at(&mut memory, "a", &stamp(7)), Some(digest));
        let folder = memory.find(Path::new("folder"), &stamp(8));
        assert_eq!(folder, Some(Remembered { digest: None }));
        let same = stamp(7);
        for other in [
            stamp(9),
            Stamp { device: 2, ..same },
            Stamp { size: 4, ..same },
            Stamp { modified: (1, 5), ..same },
            Stamp { modified: (1_700_000_000, 6), ..same },
            Stamp { changed: (1_700_000_000, 6), ..same },
        ] {
            assert_eq!(memory.find(Path::new("a"), &other), None, "{other:?}");
        }
        assert_eq!(memory.find(Path::new("b"), &same), None);
        let mut elsewhere = FileMemory::open(index.path(), Path::new("/other"));
        assert_eq!(elsewhere.find(Path::new("a"), &same), None);
    }

    #[test]
    fn what_changed_just_now_is_not_trusted() {
        let listed = UNIX_EPOCH + Duration::from_secs(1_000);
        let at = |changed| Stamp { changed, ..stamp(1) };
        assert!(!is_racy(&at((999, 900_000_000)), listed));
        assert!(is_racy(&at((999, 990_000_000)), listed));
        assert!(is_racy(&at((1_005, 1)), listed), "of the future");
        // Whole seconds: a file system that knows no more.
        assert!(is_racy(&at((998, 0)), listed));
        assert!(!is_racy(&at((997, 0)), listed));
    }

    #[test]
    fn several_builds_lose_nothing_that_was_saved_before_they_save() {
        let index = tempfile::tempdir().unwrap();
        let open = || FileMemory::open(index.path(), Path::new("/context"));
        let (mut one, mut two) = (open(), open());
        let (a, b) = (digest_of(b"a"), digest_of(b"b"));
        one.learn(Path::new("a"), &stamp(1), Some(&a), SystemTime::now());
        two.learn(Path::new("b"), &stamp(2), Some(&b), SystemTime::now());
        one.save().unwrap();
        two.save().unwrap();
        let mut both = open();
        assert_eq!(digest_at(&mut both, "a", &stamp(1)), Some(a));
        assert_eq!(digest_at(&mut both, "b", &stamp(2)), Some(b));
        both.forget();
        assert_eq!(digest_at(&mut both, "a", &stamp(1)), None);
        assert_eq!(digest_at(&mut open(), "a", &stamp(1)), None);
    }

    #[test]
    fn a_damaged_or_cut_memory_knows_nothing() {
        let index = tempfile::tempdir().unwrap();
        let open = || FileMemory::open(index.path(), Path::new("/context"));
        let mut memory = open();
        memory.learn(Path::new("a"), &stamp(1), Some(&digest_of(b"a")), SystemTime::now());
        memory.save().unwrap();
        let path = memory.path.clone();
        let whole = fs::read(&path).unwrap();
        for position in [0, 20, 40, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[position] ^= 1;
            fs::write(&path, damaged).unwrap();
            assert_eq!(open().find(Path::new("a"), &stamp(1)), None, "at {position}");
        }
        fs::write(&path, &whole[..whole.len() - 10]).unwrap();
        assert_eq!(open().find(Path::new("a"), &stamp(1)), None);
        fs::write(&path, &whole).unwrap();
        assert!(open().find(Path::new("a"), &stamp(1)).is_some());
    }
}
