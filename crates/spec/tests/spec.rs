//! Specifications as files: what they come to, and what is refused.

#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test with its place")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use boxwright_core::{Error, ErrorKind, Host};
use boxwright_spec::{Images, Rendered, SpecFile, render, schema};
use tempfile::TempDir;

struct Project(TempDir);

impl Project {
    fn new(spec: &str) -> Self {
        Self(tempfile::tempdir().unwrap()).file("spec.yaml", spec)
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn read(&self, name: &str) -> Result<Rendered, Error> {
        let host = Host::with_variables(self.0.path(), [("HOME", "/")]);
        render(&SpecFile::read(name, &host)?, &Images::default())
    }

    fn rendered(&self) -> Rendered {
        self.read("spec.yaml").unwrap()
    }

    /// Every problem, as the user is told.
    fn problems(&self) -> String {
        let error = self.read("spec.yaml").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let mut told = error.to_string();
        for (_, value) in error.context() {
            told += &format!("\n{value}");
        }
        format!("{told}\n{}", error.remedy().unwrap_or_default())
    }
}

#[test]
fn yaml_toml_and_json_are_one_specification() {
    let project = Project::new("registry: ghcr.io/Acme\nname: App\npython_version: 3.10\nenv: {A: 1, B: true}\n")
        .file("spec.toml", "registry = 'ghcr.io/acme'\nname = 'app'\npython_version = '3.10'\nenv = {A = 1, B = true}\n")
        .file("spec.json", r#"{"registry": "ghcr.io/acme", "name": "app", "python_version": "3.10", "env": {"A": 1, "B": true}}"#);
    let all: Vec<String> = ["spec.yaml", "spec.toml", "spec.json"]
        .map(|name| project.read(name).unwrap().image.to_string())
        .into();
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
    assert!(all[0].starts_with("ghcr.io/acme/app:"), "{}", all[0]);
    assert!(
        project
            .rendered()
            .dockerfile
            .contains("FROM docker.io/library/python:3.10-slim-bookworm\n")
    );
}

#[test]
fn every_problem_is_told_at_once_with_what_to_do() {
    let told = Project::new(concat!(
        "nmae: a\nregistry: https://ghcr.io/acme\npackages: numpy\nenv: {A-B: x, C: \"a\\nb\"}\nplatform: 'linux/'\n",
        "requirements: Pipfile.lock\ncopy: [../secrets, /etc/passwd, gone]\npip_secret_mounts: [[token, /etc/token]]\n",
        "cuda: '12'\ntag_format: latest\npython_version: three\nbuilder_options: {egnine: podman}\n",
        "base_image: {apt_packages: ['a b']}\n",
    ))
    .file("Pipfile.lock", "{}")
    .problems();
    for says in [
        "`spec.yaml` has 16 problems",
        "unknown field `nmae`; use `name`",
        "`registry` is an address: `https://ghcr.io/acme`; leave the scheme out: `ghcr.io/acme`",
        "`packages` has a wrong value; write a list",
        "`env.A-B` is no name of a variable",
        "`env.C` has more than one line; keep it on one line",
        "`platform` is no platform: `linux/`",
        "`requirements` has an unknown format: `Pipfile.lock`; use `requirements.txt`, `uv.lock`",
        "`copy[0]` leaves the folder of the specification: `../secrets`",
        "`copy[1]` leaves the folder of the specification: `/etc/passwd`",
        "`copy[2]` names `gone`, which cannot be read",
        "`pip_secret_mounts[0]` names no file: `token`",
        "`cuda` cannot be installed by itself",
        "`tag_format` does not depend on the content",
        "`python_version` is no version of Python: `three`",
        "unknown field `builder_options.egnine`; use `engine`",
        "`base_image.apt_packages[0]` is no package of Debian: `a b`",
    ] {
        assert!(told.contains(says), "{says}\n{told}");
    }
}

#[test]
fn a_single_problem_is_the_error_itself() {
    let error = Project::new("pakages: [a]\n").read("spec.yaml").unwrap_err();
    assert_eq!(error.to_string(), "unknown field `pakages`");
    assert_eq!(error.remedy(), Some("use `packages`"));
    let host = Host::with_variables("/", [("HOME", "/")]);
    assert!(SpecFile::read("/nowhere/spec.yaml", &host).unwrap_err().remedy().is_some());
}

#[test]
fn a_link_out_of_the_project_is_refused() {
    let project = Project::new("copy: [inner/link]\nbase_image: debian:12\n");
    std::fs::create_dir(project.0.path().join("inner")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", project.0.path().join("inner/link")).unwrap();
    assert!(project.problems().contains("leaves the folder"), "{}", project.problems());
}

#[test]
fn a_number_that_lost_its_zero_is_refused() {
    let project = Project::new("").file("spec.toml", "python_version = 3.10\n");
    let error = project.read("spec.toml").unwrap_err();
    assert!(error.remedy().unwrap().contains("in quotes"), "{error}");
}

/// The content, and nothing else: not the place, the time, the registry, the name, nor who reads it.
#[test]
fn the_tag_depends_on_content_alone() {
    let spec = "registry: ghcr.io/acme\nbase_image: debian:12\nsource_root: src\nsource_copy_mode: all\ncopy: [run.sh]\n";
    let make = |spec: &str| Project::new(spec).file("src/a.py", "1").file("run.sh", "#!/bin/sh\n");
    let first = make(spec);
    let tag = first.rendered().tag;
    let elsewhere = make(&spec.replace("ghcr.io/acme", "localhost:5000"));
    filetime(&elsewhere.0.path().join("src/a.py"));
    assert_eq!(tag, elsewhere.rendered().tag);
    assert_eq!(
        tag,
        make(&format!("{spec}name: other\nbuilder: x\nruntime_packages: [a]\n")).rendered().tag
    );
    assert_eq!(
        tag,
        make(&format!("# a remark\n{spec}builder_options: {{engine: podman}}\n")).rendered().tag
    );
    assert_ne!(tag, first.file("src/a.py", "2").rendered().tag);
    let program = make(spec);
    let path = program.0.path().join("run.sh");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_ne!(tag, program.rendered().tag);
    assert_ne!(tag, make(&format!("{spec}platform: linux/arm64\n")).rendered().tag);
    let formatted = make(&format!("{spec}tag_format: 'v-{{spec_hash}}'\n")).rendered();
    assert_eq!(formatted.image.tag(), Some(format!("v-{tag}").as_str()));
}

fn filetime(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
}

#[test]
fn what_litters_a_source_is_left_out() {
    let project = Project::new("base_image: debian:12\nsource_root: .\nsource_copy_mode: all\n")
        .file(".dockerignore", "*.log\n")
        .file("a.py", "")
        .file("a.log", "")
        .file(".git/config", "")
        .file("__pycache__/a.pyc", "");
    let paths: Vec<String> = project.rendered().files.into_iter().map(|it| it.path).collect();
    assert_eq!(paths, ["source", "source/.dockerignore", "source/a.py", "source/spec.yaml"]);
    let python = Project::new("base_image: debian:12\nsource_root: src\n")
        .file("src/a.py", "")
        .file("src/data.bin", "");
    let paths: Vec<String> = python.rendered().files.into_iter().map(|it| it.path).collect();
    assert_eq!(paths, ["source", "source/a.py"]);
}

/// Runs git in a project, with no settings of whoever runs the tests.
async fn git(project: &Project, arguments: &[&str]) {
    let folder = project.0.path();
    let path = Host::system().variable("PATH").unwrap().to_owned();
    let host =
        Host::with_variables(folder, [("HOME", folder.display().to_string()), ("PATH", path)]);
    let program = host.program("git").unwrap().arguments(&["-C"]).arguments(&[folder]);
    let done = program.arguments(arguments).output(&[], std::time::Duration::from_secs(60)).await;
    assert!(done.unwrap().succeeded(), "{arguments:?}");
}

/// What is copied of `source_root`, and what is told about it.
async fn sources(project: &Project) -> (Vec<String>, Vec<String>) {
    let path = Host::system().variable("PATH").unwrap().to_owned();
    let host = Host::with_variables(project.0.path(), [("HOME", "/".to_owned()), ("PATH", path)]);
    let file = SpecFile::read("spec.yaml", &host).unwrap();
    let file = file.without_what_git_ignores(&host).await;
    let rendered = render(&file, &Images::default()).unwrap();
    (rendered.files.into_iter().map(|it| it.path).collect(), rendered.notes)
}

/// flytekit's `IgnoreGroup`: git, `.dockerignore`, and its standard patterns.
#[tokio::test]
async fn what_git_ignores_is_no_source_but_what_it_keeps_is() {
    let spec = "base_image: debian:12\nsource_root: app\nsource_copy_mode: all\n";
    let project = Project::new(spec)
        .file("app/.gitignore", "*.log\nbuild/\n/env\n")
        .file("app/.dockerignore", "notes\n")
        .file("app/a.py", "")
        .file("app/a.log", "")
        .file("app/kept.log", "")
        .file("app/build/out.bin", "")
        .file("app/env/secret", "")
        .file("app/notes", "")
        .file("app/.cache/x", "")
        .file("app/inner/.cache/x", "")
        .file("app/inner/__pycache__/a.pyc", "");
    let (all, notes) = sources(&project).await;
    assert!(all.contains(&"source/a.log".to_owned()), "no repository, no rules: {all:?}");
    assert!(notes.is_empty(), "{notes:?}");
    git(&project, &["init", "--quiet"]).await;
    git(&project, &["add", "--force", "app/kept.log"]).await;
    let (found, notes) = sources(&project).await;
    assert_eq!(
        found,
        [
            "source",
            "source/.dockerignore",
            "source/.gitignore",
            "source/a.py",
            "source/inner",
            "source/inner/.cache",
            "source/inner/.cache/x",
            "source/kept.log",
        ]
    );
    assert!(notes.is_empty(), "{notes:?}");
    // A repository may have settings that start a program: none is started.
    let mark = project.0.path().join("started");
    let command = format!("touch {}; false", mark.display());
    git(&project, &["config", "core.fsmonitor", &command]).await;
    assert_eq!(sources(&project).await.0, found);
    assert!(!mark.exists(), "the program of the repository was started");
    // A repository that git does not understand is told about, and hides nothing.
    std::fs::write(project.0.path().join(".git/HEAD"), "rubbish").unwrap();
    let (all, notes) = sources(&project).await;
    assert!(all.contains(&"source/a.log".to_owned()), "{all:?}");
    assert!(notes[0].starts_with("what git ignores in `"), "{notes:?}");
}

/// As flytekit's `copy`, which leaves nothing out.
#[test]
fn what_is_named_to_be_copied_is_copied_whole() {
    let project = Project::new("base_image: debian:12\ncopy: [data]\n")
        .file("data/.dockerignore", "*.log\n")
        .file("data/a.log", "")
        .file("data/.git/config", "")
        .file("data/__pycache__/a.pyc", "");
    let paths: Vec<String> = project.rendered().files.into_iter().map(|it| it.path).collect();
    for path in ["copy/data/a.log", "copy/data/.git/config", "copy/data/__pycache__/a.pyc"] {
        assert!(paths.contains(&path.to_owned()), "{paths:?}");
    }
}

#[test]
fn a_base_that_is_a_specification_is_built_first_and_named() {
    let project = Project::new("name: app\nregistry: a.b\nbase_image: base.yaml\n").file(
        "base.yaml",
        "name: base\nregistry: a.b\nbase_image: debian:12\napt_packages: [git]\n",
    );
    let rendered = project.rendered();
    let base = rendered.base.as_ref().unwrap();
    assert!(
        rendered.dockerfile.contains(&format!("FROM {}\n", base.image)),
        "{}",
        rendered.dockerfile
    );
    let within = Project::new(
        "name: app\nregistry: c.d\nbase_image: {name: base, base_image: 'debian:12', apt_packages: [git]}\n",
    );
    assert_eq!(within.rendered().tag, rendered.tag);
    let circle = Project::new("base_image: spec.yaml\n");
    assert!(circle.problems().contains("more than 8 others"), "{}", circle.problems());
}

#[test]
fn requirements_are_one_file_in_the_image() {
    let text = |project: &Project| match &project.rendered().files[0].content {
        boxwright_spec::FileContent::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    let lines = Project::new("requirements: r.txt\npackages: [b]\n").file("r.txt", "a==1\n# why\n");
    assert_eq!(text(&lines), "a==1\n# why\nb\n");
    let declared = Project::new("requirements: pyproject.toml\n")
        .file("pyproject.toml", "[project]\ndependencies = ['a>=1', 'b']\n");
    assert_eq!(text(&declared), "a>=1\nb\n");
    let lock = Project::new("requirements: uv.lock\n").file("uv.lock", "");
    assert!(lock.problems().contains("no `pyproject.toml` beside"), "{}", lock.problems());
    let lock = lock.file("pyproject.toml", "");
    assert!(
        lock.rendered().dockerfile.contains("'sync' '--locked' '--no-dev' '--no-install-project'")
    );
    let both = Project::new("requirements: poetry.lock\npackages: [a]\n").file("poetry.lock", "");
    assert!(both.problems().contains("exclude each other"), "{}", both.problems());
    let other = Project::new("requirements: r.txt\n").file("r.txt", "-r more.txt\n");
    assert!(other.problems().contains("needs another file"), "{}", other.problems());
}

#[test]
fn a_secret_is_mounted_and_never_in_the_context() {
    let project = Project::new(
        "base_image: debian:12\npackages: [a]\npip_secret_mounts: [[token, /etc/pip.conf]]\n",
    )
    .file("token", "hush");
    let rendered = project.rendered();
    assert!(
        rendered
            .dockerfile
            .contains("--mount=type=secret,id=secret_0,target=/etc/pip.conf,required=true")
    );
    assert_eq!(rendered.secrets[0].0, "secret_0");
    let folder = project.0.path().join("out");
    rendered.write(&folder).unwrap();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains("hush"));
    }
    // Another token is the same image.
    assert_eq!(rendered.tag, project.file("token", "other").rendered().tag);
}

#[test]
fn an_image_that_tools_come_from_can_be_another() {
    let spec =
        "conda_packages: [curl]\nbuilder_config: {micromamba_image: 'mirror.example/mm:1'}\n";
    let dockerfile = Project::new(spec).rendered().dockerfile;
    assert!(dockerfile.starts_with("FROM mirror.example/mm:1 AS micromamba\n"), "{dockerfile}");
    let plain = Project::new("packages: [a]\n").rendered().dockerfile;
    assert_eq!(plain.matches("FROM ").count(), 1, "{plain}");
}

#[test]
fn the_schema_has_every_field_of_flyte() {
    let schema = schema();
    let fields = schema.as_value()["properties"].as_object().unwrap();
    for field in [
        "name",
        "python_version",
        "builder",
        "source_root",
        "env",
        "registry",
        "packages",
        "conda_packages",
        "conda_channels",
        "requirements",
        "apt_packages",
        "cuda",
        "cudnn",
        "base_image",
        "platform",
        "pip_index",
        "pip_extra_index_url",
        "pip_secret_mounts",
        "pip_extra_args",
        "registry_config",
        "entrypoint",
        "commands",
        "tag_format",
        "source_copy_mode",
        "copy",
        "python_exec",
        "runtime_packages",
        "builder_options",
        "builder_config",
    ] {
        assert!(fields.contains_key(field), "{field}");
    }
    assert_eq!(fields.len(), 29);
}
