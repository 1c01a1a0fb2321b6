//! The reference workload: a context of many files, half of them incompressible, and a Dockerfile of ten steps.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::problem::{Explain, Result};

/// How many folders the files are spread over.
const FOLDERS: u32 = 50;

/// A generated context. Equal sizes give equal bytes.
#[derive(Debug)]
pub(super) struct Workload {
    folder: PathBuf,
}

impl Workload {
    /// Writes a context of `files` files with `megabytes` MB together, on the image `base`.
    pub(super) fn generate(folder: &Path, base: &str, files: u32, megabytes: u32) -> Result<Self> {
        let write = || -> std::io::Result<()> {
            let mut random = Random(42);
            let words: Vec<String> =
                (0..4000).map(|_| format!("w{:05x} ", random.next() & 0xf_ffff)).collect();
            let average = u64::from(megabytes) * 1_000_000 / u64::from(files.max(1));
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
            for number in 0..files {
                let place = folder.join(format!("data/d{:02}", number % FOLDERS));
                fs::create_dir_all(&place)?;
                let mut file = fs::File::create(place.join(format!("f{:04}", number / FOLDERS)))?;
                // Between a fifth and nine fifths of the average.
                let size = average / 5 + random.next() % (average * 8 / 5).max(1);
                let content = content(&mut random, &words, number % 2 == 0, size);
                file.write_all(&content)?;
                file.set_modified(modified)?;
            }
            fs::write(folder.join("app.txt"), "one\n")?;
            fs::write(folder.join("Dockerfile"), dockerfile(base))
        };
        write().explain(|| format!("cannot write `{}`", folder.display()))?;
        Ok(Self { folder: folder.to_owned() })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Changes one of the files that the first copy takes, so that its layer is a new one.
    pub(super) fn renew(&self, number: u32) -> Result<()> {
        let path = self.folder.join("data/d00/renewed");
        let changed = fs::write(&path, format!("{number}\n"));
        changed.explain(|| format!("cannot write `{}`", path.display()))
    }

    /// Changes one small file that the last steps depend on.
    pub(super) fn change(&self, number: u32) -> Result<()> {
        let path = self.folder.join("app.txt");
        let changed = fs::write(&path, format!("changed {number}\n"));
        changed.explain(|| format!("cannot write `{}`", path.display()))
    }
}

fn content(random: &mut Random, words: &[String], text: bool, size: u64) -> Vec<u8> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut content = Vec::with_capacity(size + 8);
    while content.len() < size {
        let number = random.next();
        if text {
            let index = usize::try_from(number).unwrap_or_default() % words.len();
            content.extend_from_slice(words[index].as_bytes());
        } else {
            content.extend_from_slice(&number.to_le_bytes());
        }
    }
    content.truncate(size);
    content
}

fn dockerfile(base: &str) -> String {
    format!(
        "FROM {base}\n\
         WORKDIR /app\n\
         COPY data/ /app/data/\n\
         RUN find data -type f | wc -l > count\n\
         RUN mkdir -p bin && echo '#!/bin/sh' > bin/run && chmod +x bin/run\n\
         ENV A=1\n\
         RUN sha256sum data/d00/* > sums\n\
         COPY app.txt /app/app.txt\n\
         RUN cat app.txt > out && id >> out\n\
         RUN rm -rf data/d01\n\
         CMD [\"cat\", \"/app/out\"]\n"
    )
}

/// The xorshift generator: the same numbers everywhere.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Workload;

    #[test]
    fn equal_sizes_give_equal_files() {
        let read = || {
            let folder = tempfile::tempdir().unwrap();
            let workload = Workload::generate(folder.path(), "base:1", 60, 1).unwrap();
            workload.change(7).unwrap();
            let read = |path: &str| std::fs::read(folder.path().join(path)).unwrap();
            (read("data/d00/f0000"), read("data/d09/f0001"), read("app.txt"))
        };
        let one = read();
        assert_eq!(one, read());
        assert!(one.0.starts_with(b"w"), "even files are text");
        assert_eq!(one.2, b"changed 7\n");
    }

    #[test]
    fn the_whole_has_about_the_size_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        Workload::generate(folder.path(), "base:1", 200, 2).unwrap();
        let mut total = 0;
        for entry in std::fs::read_dir(folder.path().join("data")).unwrap() {
            for file in std::fs::read_dir(entry.unwrap().path()).unwrap() {
                total += file.unwrap().metadata().unwrap().len();
            }
        }
        assert!((1_500_000..2_500_000).contains(&total), "{total}");
    }
}
