//! The programs that the shell knows.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::root::{Kind, Node, clean, parent};
use super::{Process, Redirections};

/// What a program gives: its status, and what it wrote.
type Ended = (i64, Vec<u8>, Vec<u8>);

fn says(stdout: impl Into<Vec<u8>>) -> Ended {
    (0, stdout.into(), Vec::new())
}

fn is(condition: bool) -> Ended {
    (i64::from(!condition), Vec::new(), Vec::new())
}

fn fails(status: i64, stderr: impl std::fmt::Display) -> Ended {
    (status, Vec::new(), format!("{stderr}\n").into_bytes())
}

/// Runs one program and returns its status and what it wrote.
pub(super) async fn run(
    process: &mut Process,
    arguments: &[String],
    redirections: &Redirections,
) -> Ended {
    let Some((program, arguments)) = arguments.split_first() else { return is(true) };
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let name = program.rsplit('/').next().unwrap_or(program);
    match name {
        ":" | "true" => is(true),
        "false" => is(false),
        "echo" => echo(&words),
        "printf" => says(printf(&words)),
        "cat" => cat(process, &words, redirections),
        "test" => is(test(process, &words)),
        "[" => is(test(process, &words[..words.len().saturating_sub(1)])),
        "pwd" => says(format!("/{}\n", process.folder)),
        "cd" => {
            process.folder = clean(&process.folder, words.first().unwrap_or(&"/"));
            is(process.root.is_folder(&process.folder))
        }
        "env" | "printenv" => environment(process, &words),
        "export" => {
            let pairs = words.iter().filter_map(|word| word.split_once('='));
            process
                .variables
                .extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
            is(true)
        }
        "id" => id(process, &words),
        "sleep" => sleep(process, &words).await,
        "ls" => list(process, &words),
        "grep" => grep(process, &words, redirections),
        "readlink" => match words.last().and_then(|path| process.root.get(&at(process, path))) {
            Some(Node { kind: Kind::Link(target), .. }) => says(format!("{target}\n")),
            _ => is(false),
        },
        "stat" => stat(process, &words),
        "mkdir" | "touch" | "rm" | "ln" | "mv" | "cp" | "chmod" | "chown" => {
            change(process, name, &words)
        }
        other => fails(127, format_args!("sh: {other}: not found")),
    }
}

fn at(process: &Process, path: &str) -> String {
    clean(&process.folder, path)
}

fn echo(words: &[&str]) -> Ended {
    match words.split_first() {
        Some((&"-n", rest)) => says(rest.join(" ")),
        _ => says(words.join(" ") + "\n"),
    }
}

fn printf(words: &[&str]) -> String {
    let Some((format, values)) = words.split_first() else { return String::new() };
    let format = format.replace("\\n", "\n").replace("\\t", "\t");
    let mut values = values.iter();
    let mut text = String::new();
    for (number, piece) in format.split("%s").enumerate() {
        if number > 0 {
            text.push_str(values.next().unwrap_or(&""));
        }
        text.push_str(piece);
    }
    text
}

fn cat(process: &Process, words: &[&str], redirections: &Redirections) -> Ended {
    let paths = words.iter().copied().chain(redirections.stdin.as_deref());
    let mut content = Vec::new();
    for path in paths {
        if path == "/proc/sys/kernel/random/uuid" {
            // Different every time, which is all that anyone reads it for.
            content.extend(std::fs::read(path).unwrap_or_default());
            continue;
        }
        match process.root.read(&at(process, path)) {
            Some(bytes) => content.extend_from_slice(bytes),
            None => {
                return fails(
                    1,
                    format_args!("cat: can't open '{path}': No such file or directory"),
                );
            }
        }
    }
    says(content)
}

fn test(process: &Process, words: &[&str]) -> bool {
    let root = &process.root;
    match *words {
        ["!", ref rest @ ..] => !test(process, rest),
        ["-n", text] => !text.is_empty(),
        ["-z", text] => text.is_empty(),
        ["-e", path] => root.get(&root.follow(&at(process, path))).is_some(),
        ["-f", path] => root.read(&at(process, path)).is_some(),
        ["-d", path] => root.is_folder(&at(process, path)),
        ["-s", path] => root.read(&at(process, path)).is_some_and(|content| !content.is_empty()),
        ["-L" | "-h", path] => {
            matches!(root.get(&at(process, path)), Some(Node { kind: Kind::Link(_), .. }))
        }
        ["-x", path] => {
            root.get(&root.follow(&at(process, path))).is_some_and(|node| node.mode & 0o111 != 0)
        }
        [left, "=" | "==", right] => left == right,
        [left, "!=", right] => left != right,
        [text] => !text.is_empty(),
        _ => false,
    }
}

fn environment(process: &Process, words: &[&str]) -> Ended {
    if let Some(name) = words.first() {
        return match process.variables.get(*name) {
            Some(value) => says(format!("{value}\n")),
            None => is(false),
        };
    }
    let line = |(name, value): (&String, &String)| format!("{name}={value}\n");
    says(process.variables.iter().map(line).collect::<String>())
}

fn id(process: &Process, words: &[&str]) -> Ended {
    let (user, group) = process.user;
    match words {
        ["-u"] => says(format!("{user}\n")),
        ["-g"] => says(format!("{group}\n")),
        _ => says(format!("uid={user} gid={group}\n")),
    }
}

async fn sleep(process: &Process, words: &[&str]) -> Ended {
    let seconds = words.first().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0);
    tokio::select! {
        () = process.cancel.cancelled() => (143, Vec::new(), Vec::new()),
        () = tokio::time::sleep(Duration::from_secs_f64(seconds)) => is(true),
    }
}

fn list(process: &Process, words: &[&str]) -> Ended {
    let folder = at(process, words.iter().find(|word| !word.starts_with('-')).unwrap_or(&"."));
    let names = process.root.below(&process.root.follow(&folder)).into_iter();
    let names = names.filter(|(name, _)| !name.contains('/') && !name.starts_with('.'));
    says(names.map(|(name, _)| name + "\n").collect::<String>())
}

fn grep(process: &Process, words: &[&str], redirections: &Redirections) -> Ended {
    let is_quiet = words.iter().any(|word| word.starts_with('-') && word.contains('q'));
    let mut plain = words.iter().filter(|word| !word.starts_with('-'));
    let pattern = plain.next().unwrap_or(&"");
    let path = plain.next().copied().or(redirections.stdin.as_deref()).unwrap_or_default();
    let Some(content) = process.root.read(&at(process, path)) else {
        return fails(2, format_args!("grep: {path}: No such file or directory"));
    };
    let text = String::from_utf8_lossy(content);
    let Ok(pattern) = regex::Regex::new(pattern) else { return fails(2, "grep: bad pattern") };
    let found: String = text
        .lines()
        .filter(|line| pattern.is_match(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let (status, _, stderr) = is(!found.is_empty());
    (status, if is_quiet { Vec::new() } else { found.into_bytes() }, stderr)
}

fn stat(process: &Process, words: &[&str]) -> Ended {
    let ["-c", format, path] = words else { return fails(1, "stat: only -c is known") };
    let Some(node) = process.root.get(&at(process, path)) else {
        return fails(1, format_args!("stat: can't stat '{path}': No such file or directory"));
    };
    let mut text = format
        .replace("%a", &format!("{:o}", node.mode))
        .replace("%u", &node.owner.0.to_string())
        .replace("%g", &node.owner.1.to_string());
    // Writing to a string cannot fail.
    let _ = writeln!(text);
    says(text)
}

fn change(process: &mut Process, name: &str, words: &[&str]) -> Ended {
    let (flags, paths): (Vec<&str>, Vec<&str>) = words.iter().partition(|w| w.starts_with('-'));
    let has = |flag: char| flags.iter().any(|flags| flags.contains(flag));
    let missing = |path: &str| fails(1, format_args!("{name}: {path}: No such file or directory"));
    match (name, paths.as_slice()) {
        ("ln", [target, path]) if has('s') => {
            let node =
                Node { owner: process.user, ..Node::new(Kind::Link((*target).into()), 0o777) };
            let path = at(process, path);
            process.root.put(&path, node);
        }
        ("mv" | "cp", [from, to]) => {
            let (from, mut to) = (at(process, from), at(process, to));
            if process.root.is_folder(&to) {
                to = clean(&to, from.rsplit('/').next().unwrap_or(&from));
            }
            let Some(node) = process.root.get(&from).cloned() else { return missing(&from) };
            let below = process.root.below(&from);
            process.root.put(&to, node);
            below.into_iter().for_each(|(rest, node)| process.root.put(&clean(&to, &rest), node));
            if name == "mv" {
                process.root.remove(&from);
            }
        }
        ("chmod" | "chown", [value, paths @ ..]) => {
            for path in paths {
                let path = at(process, path);
                let below = process.root.below(&path).into_iter();
                let below = below.filter(|_| has('R')).map(|(rest, _)| clean(&path, &rest));
                for path in std::iter::once(path.clone()).chain(below) {
                    let Some(node) = process.root.get_mut(&path) else { return missing(&path) };
                    if name == "chmod" {
                        node.mode = match *value {
                            "+x" => node.mode | 0o111,
                            octal => u32::from_str_radix(octal, 8).unwrap_or(node.mode),
                        };
                    } else {
                        let (user, group) = value.split_once(':').unwrap_or((value, ""));
                        let (uid, gid) = node.owner;
                        node.owner = (user.parse().unwrap_or(uid), group.parse().unwrap_or(gid));
                    }
                }
            }
        }
        (_, paths) => {
            for path in paths {
                let path = at(process, path);
                let is_there = process.root.get(&path).is_some();
                match name {
                    "rm" if !is_there && !has('f') => return missing(&path),
                    "rm" => {
                        let path = process.root.real(&path);
                        process.root.remove(&path);
                    }
                    "mkdir" if has('p') => process.root.make_folders(&path, process.user),
                    "mkdir" | "touch" if !process.root.is_folder(parent(&path)) => {
                        return missing(&path);
                    }
                    "mkdir" => {
                        let node = Node { owner: process.user, ..Node::new(Kind::Folder, 0o755) };
                        process.root.put(&path, node);
                    }
                    _ if !is_there => {
                        let node = Node { owner: process.user, ..Node::file(b"", 0o644) };
                        process.root.put(&path, node);
                    }
                    _ => {}
                }
            }
        }
    }
    is(true)
}
