//! `--chmod`: permission bits, or changes of them.

use boxwright_dockerfile::plan::Mode;

/// Returns the permission bits of a file that had `bits`.
pub(crate) fn apply(mode: &Mode, bits: u32, is_folder: bool) -> u32 {
    match mode {
        Mode::Bits(bits) => *bits,
        Mode::Changes(text) => {
            text.split(',').fold(bits, |bits, change| one(change, bits, is_folder))
        }
    }
}

/// Applies `[ugoa…][+-=][rwxXst…|u|g|o]…`, as `chmod` does with a mask of 022 for no one named.
fn one(change: &str, mut bits: u32, is_folder: bool) -> u32 {
    let actions = change.trim_start_matches(['u', 'g', 'o', 'a']);
    let who = &change[..change.len() - actions.len()];
    let named = |c| who.contains(c) || who.contains('a') || who.is_empty();
    let classes: Vec<u32> = [('u', 6), ('g', 3), ('o', 0)]
        .into_iter()
        .filter(|(c, _)| named(*c))
        .map(|it| it.1)
        .collect();
    let mut rest = actions;
    while let Some(operator) = rest.chars().next() {
        let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |at| at + 1);
        let what = &rest[1..end];
        let (mut set, mut cleared) = (0, 0);
        for &shift in &classes {
            let mut three = match what {
                "u" => bits >> 6 & 7,
                "g" => bits >> 3 & 7,
                "o" => bits & 7,
                _ => 0,
            };
            for c in what.chars() {
                three |= match c {
                    'r' => 4,
                    'w' => 2,
                    'x' => 1,
                    'X' if is_folder || bits & 0o111 != 0 => 1,
                    _ => 0,
                };
                set |= match (c, shift) {
                    ('s', 6) => 0o4000,
                    ('s', 3) => 0o2000,
                    ('t', _) => 0o1000,
                    _ => 0,
                };
            }
            set |= three << shift;
            cleared |= 7 << shift;
        }
        if who.is_empty() && operator != '-' {
            set &= !0o022;
        }
        bits = match operator {
            '+' => bits | set,
            '-' => bits & !set,
            _ => bits & !cleared | set,
        };
        rest = &rest[end..];
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_those_of_chmod() {
        for (text, before, folder, after) in [
            ("u+x", 0o644, false, 0o744),
            ("go-rwx", 0o755, true, 0o700),
            ("a=r,u+w", 0o777, false, 0o644),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("g=u", 0o640, false, 0o660),
            ("+x", 0o644, false, 0o755),
            ("u+s,g+s,+t", 0o755, false, 0o7755),
            ("u+w-x", 0o555, false, 0o655),
        ] {
            let changed = apply(&Mode::Changes(text.into()), before, folder);
            assert_eq!(changed, after, "{text}: {changed:o}");
        }
    }
}
