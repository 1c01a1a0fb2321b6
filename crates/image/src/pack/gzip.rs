//! Gzip in fixed blocks, several at once: the same bytes for any number of threads.
//!
//! The input is cut into blocks of one size, and each becomes a member of its own. Members behind each other
//! are one gzip file (RFC 1952, section 2.2), and every program that unpacks images reads them as such.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use libdeflater::{CompressionLvl, Compressor};

/// The level of libdeflate. It is a part of the format, as the size of a block is: another one gives other
/// bytes. Level 3 makes layers smaller than level 6 of zlib does, in half the time.
const LEVEL: i32 = 3;
/// How many bytes a block has, but the last.
const BLOCK: usize = 1 << 20;
/// How many blocks wait for each thread.
const WAITING: usize = 1;

type Done = io::Result<Vec<u8>>;

/// Compresses all that `input` gives. With one thread, the calling one does everything.
pub(super) fn compress(
    input: &mut impl Read,
    output: &mut impl Write,
    threads: NonZero<usize>,
) -> io::Result<()> {
    let mut first = Some(block(input)?);
    // What is empty is one empty member.
    let mut next = || match first.take() {
        Some(first) => Ok(Some(first)),
        None => block(input).map(|block| Some(block).filter(|block| !block.is_empty())),
    };
    if threads.get() == 1 {
        let mut compressor = compressor()?;
        while let Some(block) = next()? {
            output.write_all(&member(&mut compressor, &block)?)?;
        }
        return Ok(());
    }
    in_threads(threads.get(), &mut next, output)
}

fn block(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut block = Vec::with_capacity(BLOCK);
    input.take(BLOCK as u64).read_to_end(&mut block)?;
    Ok(block)
}

/// Deals blocks out in turn, and takes what they became in the same turn.
fn in_threads(
    threads: usize,
    next: &mut impl FnMut() -> io::Result<Option<Vec<u8>>>,
    output: &mut impl Write,
) -> io::Result<()> {
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (jobs, todo) = sync_channel::<Vec<u8>>(WAITING);
                let (results, done) = sync_channel::<Done>(WAITING + 1);
                scope.spawn(move || work(&todo, &results));
                (jobs, done)
            })
            .collect();
        let mut turn = workers.iter().cycle();
        let mut under_way = VecDeque::new();
        while let Some(block) = next()? {
            let Some((jobs, done)) = turn.next() else { return Err(ended()) };
            jobs.send(block).map_err(|_| ended())?;
            under_way.push_back(done);
            if under_way.len() > threads * WAITING
                && let Some(first) = under_way.pop_front()
            {
                output.write_all(&first.recv().map_err(|_| ended())??)?;
            }
        }
        for done in under_way {
            output.write_all(&done.recv().map_err(|_| ended())??)?;
        }
        Ok(())
    })
}

fn work(todo: &Receiver<Vec<u8>>, results: &SyncSender<Done>) {
    let mut compressor = compressor();
    // Nobody sends or takes any more once the compression has ended or failed.
    while let Ok(block) = todo.recv() {
        let done = match &mut compressor {
            Ok(compressor) => member(compressor, &block),
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        if results.send(done).is_err() {
            return;
        }
    }
}

fn compressor() -> io::Result<Compressor> {
    let level = CompressionLvl::new(LEVEL);
    let level = level.map_err(|_| io::Error::other("libdeflate has no such level"))?;
    Ok(Compressor::new(level))
}

fn member(compressor: &mut Compressor, block: &[u8]) -> Done {
    let mut bytes = vec![0; compressor.gzip_compress_bound(block.len())];
    let length = compressor.gzip_compress(block, &mut bytes).map_err(io::Error::other)?;
    bytes.truncate(length);
    Ok(bytes)
}

fn ended() -> io::Error {
    io::Error::other("a thread that compresses has ended")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::manifest::digest_of;

    /// Text, and bytes that nothing compresses, in turns.
    fn mixed(length: usize) -> Vec<u8> {
        let mut state = 42_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let number = next();
            match bytes.len() >> 16 & 1 {
                0 => bytes.extend(format!("line {} of it\n", number % 977).into_bytes()),
                _ => bytes.extend(number.to_le_bytes()),
            }
        }
        bytes.truncate(length);
        bytes
    }

    fn pack(plain: &[u8], threads: usize) -> Vec<u8> {
        let mut packed = Vec::new();
        compress(&mut &plain[..], &mut packed, NonZero::new(threads).unwrap()).unwrap();
        packed
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes() {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 5 * BLOCK + 12_345] {
            let plain = mixed(length);
            let packed = pack(&plain, 1);
            for threads in [2, 3, 7] {
                assert!(pack(&plain, threads) == packed, "{length} bytes, {threads} threads");
            }
            let mut out = Vec::new();
            let mut members = flate2::read::MultiGzDecoder::new(&packed[..]);
            members.read_to_end(&mut out).unwrap();
            assert!(out == plain, "{length} bytes");
        }
    }

    /// Fails when the compressor or its settings change: then what was pushed cannot be made again.
    #[test]
    fn the_bytes_never_change() {
        let packed = pack(&mixed(3 * BLOCK + 7), 2);
        assert_eq!(
            digest_of(&packed).as_str(),
            "sha256:a9577caba0cc9be6d84553def7f7bf3d5768923adfd3b59d6a4253dd21068588"
        );
    }

    #[test]
    fn what_cannot_be_read_or_written_is_told() {
        struct Broken(usize);
        impl Read for Broken {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(1).ok_or_else(|| io::Error::other("broken"))?;
                Ok(buffer.len())
            }
        }
        let threads = NonZero::new(2).unwrap();
        let error = compress(&mut Broken(40), &mut io::sink(), threads).unwrap_err();
        assert_eq!(error.to_string(), "broken");
        let mut full: &mut [u8] = &mut [0; 100];
        let error = compress(&mut &mixed(4 * BLOCK)[..], &mut full, threads).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }
}
