//! Users and groups of the small images, and the programs that add some.

/// A user: name, user id, group id, home, shell.
type User = (&'static str, u32, u32, &'static str, &'static str);

/// Returns the users of an image. `bin` has the id of the first argument, `daemon` that of the second.
fn users(bin: u32, daemon: u32) -> [User; 9] {
    [
        ("root", 0, 0, "/root", "/bin/sh"),
        ("daemon", daemon, daemon, "/usr/sbin", "/bin/false"),
        ("bin", bin, bin, "/bin", "/bin/false"),
        ("sys", 3, 3, "/dev", "/bin/false"),
        ("sync", 4, 100, "/bin", "/bin/sync"),
        ("mail", 8, 8, "/var/spool/mail", "/bin/false"),
        ("www-data", 33, 33, "/var/www", "/bin/false"),
        ("operator", 37, 37, "/var", "/bin/false"),
        ("nobody", 65534, 65534, "/home", "/bin/false"),
    ]
}

/// Which numbers `bin` and `daemon` have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    /// `daemon` is 1, `bin` is 2.
    DaemonFirst,
    /// `bin` is 1, `daemon` is 2.
    BinFirst,
}

impl Numbers {
    fn bin_and_daemon(self) -> (u32, u32) {
        match self {
            Self::DaemonFirst => (2, 1),
            Self::BinFirst => (1, 2),
        }
    }
}

/// Returns `/etc/passwd`.
pub(super) fn passwd(numbers: Numbers) -> String {
    let (bin, daemon) = numbers.bin_and_daemon();
    let line =
        |(name, uid, gid, home, shell)| format!("{name}:x:{uid}:{gid}:{name}:{home}:{shell}\n");
    users(bin, daemon).map(line).concat()
}

/// Returns `/etc/shadow`: nobody can log in.
pub(super) fn shadow() -> String {
    users(2, 1).map(|(name, ..)| format!("{name}:*:19675:0:99999:7:::\n")).concat()
}

/// Returns `/etc/group`.
pub(super) fn group(numbers: Numbers) -> String {
    let (bin, daemon) = numbers.bin_and_daemon();
    let groups = [
        ("root", 0, ""),
        ("daemon", daemon, ""),
        ("bin", bin, ""),
        ("sys", 3, ""),
        ("adm", 4, ""),
        ("tty", 5, ""),
        ("disk", 6, ""),
        ("lp", 7, ""),
        ("mail", 8, ""),
        ("kmem", 9, ""),
        ("wheel", 10, "root"),
        ("cdrom", 11, ""),
        ("dialout", 18, ""),
        ("floppy", 19, ""),
        ("video", 28, ""),
        ("audio", 29, ""),
        ("tape", 32, ""),
        ("www-data", 33, ""),
        ("operator", 37, ""),
        ("utmp", 43, ""),
        ("plugdev", 46, ""),
        ("staff", 50, ""),
        ("netdev", 82, ""),
        ("users", 100, ""),
        ("nobody", 65534, ""),
    ];
    groups.map(|(name, gid, members)| format!("{name}:x:{gid}:{members}\n")).concat()
}

/// `/etc/nsswitch.conf`.
pub(super) const NAME_SERVICES: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// `addgroup`, which Debian's busybox lacks.
pub(super) const ADDGROUP: &str = r#"#!/bin/sh
# addgroup [-g GID] [-S] NAME: adds a group.
# addgroup USER GROUP: adds a user to a group.
fail() {
  echo "addgroup: $1" >&2
  exit 1
}
gid= first=1000
while getopts g:S option; do
  case $option in
    g) gid=$OPTARG ;;
    S) first=101 ;;
    *) exit 1 ;;
  esac
done
shift $((OPTIND - 1))
if [ $# -eq 2 ]; then
  grep -q "^$2:" /etc/group || fail "unknown group $2"
  awk -F: -v OFS=: -v user="$1" -v group="$2" \
    '$1 == group { $4 = $4 == "" ? user : $4 "," user } { print }' /etc/group >/etc/group.new
  cat /etc/group.new >/etc/group
  rm /etc/group.new
  exit 0
fi
[ -n "$1" ] || fail "a name is missing"
grep -q "^$1:" /etc/group && fail "group '$1' in use"
if [ -z "$gid" ]; then
  gid=$first
  while grep -q "^[^:]*:[^:]*:$gid:" /etc/group; do gid=$((gid + 1)); done
fi
echo "$1:x:$gid:" >>/etc/group
"#;

/// `adduser`, which Debian's busybox lacks.
pub(super) const ADDUSER: &str = r#"#!/bin/sh
# adduser [-h HOME] [-g GECOS] [-s SHELL] [-G GROUP] [-S] [-D] [-H] [-u UID] NAME: adds a user.
# adduser USER GROUP: adds a user to a group.
fail() {
  echo "adduser: $1" >&2
  exit 1
}
home= gecos= shell=/bin/sh group= system= bare= uid= first=1000
while getopts h:g:s:G:SDHu: option; do
  case $option in
    h) home=$OPTARG ;;
    g) gecos=$OPTARG ;;
    s) shell=$OPTARG ;;
    G) group=$OPTARG ;;
    S) system=1 first=100 ;;
    D) ;;
    H) bare=1 ;;
    u) uid=$OPTARG ;;
    *) exit 1 ;;
  esac
done
shift $((OPTIND - 1))
[ $# -eq 2 ] && exec addgroup "$1" "$2"
[ -n "$1" ] || fail "a name is missing"
grep -q "^$1:" /etc/passwd && fail "user '$1' in use"
if [ -z "$uid" ]; then
  uid=$first
  while grep -q "^[^:]*:[^:]*:$uid:" /etc/passwd; do uid=$((uid + 1)); done
fi
if [ -n "$group" ]; then
  gid=$(awk -F: -v group="$group" '$1 == group { print $3 }' /etc/group)
  [ -n "$gid" ] || fail "unknown group $group"
elif [ -n "$system" ]; then
  gid=65534
else
  gid=$uid
  addgroup -g "$gid" "$1" || exit 1
fi
home=${home:-/home/$1}
echo "$1:x:$uid:$gid:$gecos:$home:$shell" >>/etc/passwd
if [ -z "$bare" ]; then
  mkdir -p "$home" && chown "$uid:$gid" "$home" && chmod 2755 "$home"
fi
"#;

#[cfg(test)]
mod tests {
    use super::{Numbers, group, passwd, shadow};

    #[test]
    fn bin_and_daemon_change_places_in_both_files() {
        for (numbers, bin, daemon) in [(Numbers::DaemonFirst, 2, 1), (Numbers::BinFirst, 1, 2)] {
            let (passwd, group) = (passwd(numbers), group(numbers));
            assert!(passwd.contains(&format!("\nbin:x:{bin}:{bin}:")), "{passwd}");
            assert!(passwd.contains(&format!("\ndaemon:x:{daemon}:{daemon}:")), "{passwd}");
            assert!(group.contains(&format!("\nbin:x:{bin}:\n")), "{group}");
            assert!(group.contains("\nwheel:x:10:root\n"), "{group}");
            let names = |text: &str| -> Vec<String> {
                text.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect()
            };
            assert_eq!(names(&passwd), names(&shadow()));
        }
    }
}
