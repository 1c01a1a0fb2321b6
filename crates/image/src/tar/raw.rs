//! One header block, field by field.

use super::{BLOCK, number};

/// A header block whose checksum is right.
pub(super) struct Raw<'b>(&'b [u8; BLOCK]);

/// Where the magic is, and what it can be.
const MAGIC: std::ops::Range<usize> = 257..265;
const USTAR: &[u8; 8] = b"ustar\x0000";
const GNU: &[u8; 8] = b"ustar  \0";

impl<'b> Raw<'b> {
    /// Takes a block whose checksum is right.
    pub(super) fn new(block: &'b [u8; BLOCK]) -> Option<Self> {
        let stored = number::parse(&block[148..156])?;
        let sums = block
            .iter()
            .enumerate()
            .map(|(index, &byte)| if (148..156).contains(&index) { b' ' } else { byte });
        let unsigned: i64 = sums.clone().map(i64::from).sum();
        // Old programs summed signed bytes.
        let signed: i64 = sums.map(|byte| i64::from(byte as i8)).sum();
        (stored == unsigned || stored == signed).then_some(Self(block))
    }

    pub(super) fn type_flag(&self) -> u8 {
        self.0[156]
    }

    /// The name, with the prefix that ustar may have.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = until_nul(&self.0[..100]);
        let prefix = match &self.0[MAGIC] {
            magic if magic[..6] == USTAR[..6] && &self.0[508..] == b"tar\0" => &self.0[345..476],
            magic if magic[..6] == USTAR[..6] => &self.0[345..500],
            _ => &[],
        };
        match until_nul(prefix) {
            b"" => name.to_vec(),
            prefix => [prefix, b"/", name].concat(),
        }
    }

    pub(super) fn link_name(&self) -> Vec<u8> {
        until_nul(&self.0[157..257]).to_vec()
    }

    pub(super) fn mode(&self) -> Option<i64> {
        number::parse(&self.0[100..108])
    }

    pub(super) fn uid(&self) -> Option<i64> {
        number::parse(&self.0[108..116])
    }

    pub(super) fn gid(&self) -> Option<i64> {
        number::parse(&self.0[116..124])
    }

    pub(super) fn size(&self) -> Option<i64> {
        number::parse(&self.0[124..136])
    }

    pub(super) fn modified(&self) -> Option<i64> {
        number::parse(&self.0[136..148])
    }

    /// The device numbers, which only a header with a magic has.
    pub(super) fn device(&self) -> Option<(u32, u32)> {
        if &self.0[MAGIC] != USTAR && &self.0[MAGIC] != GNU {
            return Some((0, 0));
        }
        let number = |field: &[u8]| u32::try_from(number::parse(field)?).ok();
        Some((number(&self.0[329..337])?, number(&self.0[337..345])?))
    }
}

pub(super) fn until_nul(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|&b| b == 0).unwrap_or(field.len())]
}
