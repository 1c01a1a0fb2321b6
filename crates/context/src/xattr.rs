//! Extended attributes of what is open.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{fgetxattr, flistxattr};
use rustix::io::Errno;

/// The largest value or list of names that Linux has.
const MOST: usize = 64 << 10;

/// Reads all, sorted by name. A file system that knows none has none; a name that is not UTF-8 is left out.
pub(crate) fn all(file: impl AsFd) -> io::Result<Vec<(String, Vec<u8>)>> {
    // The usual answer is "none", and most lists are short.
    let mut names = vec![0; 256];
    let length = match flistxattr(&file, &mut names[..]) {
        Err(Errno::RANGE) => {
            names.resize(MOST, 0);
            flistxattr(&file, &mut names[..])
        }
        other => other,
    };
    let length = match length {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for name in names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        if let Ok(name) = std::str::from_utf8(name)
            && let Some(value) = one(&file, name)?
        {
            found.push((name.to_owned(), value));
        }
    }
    found.sort();
    Ok(found)
}

/// Reads one, or `None` if it is not there.
pub(crate) fn one(file: impl AsFd, name: &str) -> io::Result<Option<Vec<u8>>> {
    // The usual answer is "none", and most values are short.
    let mut short = [0; 64];
    match fgetxattr(&file, name, &mut short[..]) {
        Ok(length) => return Ok(Some(short[..length].to_vec())),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
        Err(Errno::RANGE) => {}
        Err(error) => return Err(error.into()),
    }
    let mut value = vec![0; MOST];
    match fgetxattr(&file, name, &mut value[..]) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::NODATA) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
