//! PAX records: `LENGTH KEY=VALUE\n`.

use std::collections::BTreeMap;

/// Reads all records, or says what is wrong with them. The last one of a key counts, and an empty value
/// takes the key away.
pub(super) fn parse(mut bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut records = BTreeMap::new();
    while !bytes.is_empty() {
        let space = bytes.iter().take(20).position(|&b| b == b' ').ok_or("no length")?;
        let digits = &bytes[..space];
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err("its length is no number".into());
        }
        let length: usize = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or("its length is no number")?;
        if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
            return Err("its length is not where it ends".into());
        }
        let record = &bytes[space + 1..length - 1];
        bytes = &bytes[length..];
        let equals = record.iter().position(|&b| b == b'=').ok_or("it has no `=`")?;
        let key = std::str::from_utf8(&record[..equals]).map_err(|_| "its key is not UTF-8")?;
        if key.is_empty() || key.contains('\0') {
            return Err("its key is empty or has a NUL".into());
        }
        let value = &record[equals + 1..];
        if value.is_empty() && !key.starts_with(XATTR) {
            records.remove(key);
        } else {
            records.insert(key.to_owned(), value.to_vec());
        }
    }
    Ok(records)
}

/// What the keys of extended attributes begin with.
pub(super) const XATTR: &str = "SCHILY.xattr.";

/// Adds one record. Its length counts itself.
pub(super) fn write(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if length.to_string().len() > rest.to_string().len() {
        length += 1;
    }
    out.extend_from_slice(format!("{length} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_every_length_come_back() {
        for length in 0..1200 {
            let value = vec![b'x'; length];
            let mut bytes = Vec::new();
            write(&mut bytes, "SCHILY.xattr.user.a", &value);
            write(&mut bytes, "path", b"a\n=b");
            let records = parse(&bytes).unwrap();
            assert_eq!(records["SCHILY.xattr.user.a"], value);
            assert_eq!(records["path"], b"a\n=b");
        }
    }

    #[test]
    fn malformed_records_are_errors_threat_5() {
        for bad in [
            &b"6 a=b"[..],
            b"7 a=b\n",
            b"99 a=b\n",
            b"a=b\n",
            b" 6 a=b\n",
            b"6 ab\n\n",
            b"-6 a=b\n",
            b"3 \n",
            b"5 =b\n",
            b"99999999999999999999999999 a=b\n",
            b"6 a=b\n\0\0",
        ] {
            assert!(parse(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
