//! What a step leaves: the same bytes however it came about, and wherever.

use boxwright_core::{ErrorKind, LayerRef, StepLayer};
use boxwright_image::tar::Kind;
use boxwright_worker::StepInput;

use crate::Case;
use crate::world::{self, Ran, World};

pub(crate) const CASES: &[Case] = &[
    ("only_what_differs_is_in_the_layer", differences),
    ("what_is_gone_is_hidden_by_name", whiteouts),
    ("entries_keep_modes_owners_links_and_attributes", entries),
    ("a_file_keeps_its_owner_when_it_is_changed", owner),
    ("times_are_whole_and_clamped", times),
    ("names_that_hide_files_are_refused_threat_8", marks),
    ("cold_warm_and_elsewhere_give_the_same_bytes", same_bytes),
    ("the_next_step_sees_what_the_layer_says", next_step),
    ("copying_gives_the_same_bytes_as_overlayfs", copying),
    ("folders_that_a_layer_does_not_describe_stay_as_they_are", implied),
    ("many_layers_are_stacked_up", many_layers),
];

fn differences() {
    let world = World::new();
    let paths = |script: &str| world.paths(&world.sh(script));
    assert_eq!(paths("echo x >/data/new"), ["data", "data/new"]);
    assert_eq!(paths("chmod 600 /data/note"), ["data", "data/note"]);
    assert_eq!(paths("chmod 700 /data/full"), ["data", "data/full"]);
    assert_eq!(paths("echo other >/data/note"), ["data", "data/note"]);
    assert_eq!(paths("echo -n lower >/data/x; rm /data/x"), [""; 0]);
    // Written again with what was there, made again as it was: no change.
    assert_eq!(paths("echo -n a >/data/full/a"), [""; 0]);
    assert_eq!(
        paths("rm -r /data/full; mkdir /data/full; cd /data/full; echo -n a >a; echo -n b >b"),
        [""; 0]
    );
    assert_eq!(paths("mv /data/full /data/moved; mv /data/moved /data/full"), [""; 0]);
    assert_eq!(paths("chmod 700 /; chmod 755 /"), [""; 0]);
    let ran = world.sh("chmod 700 /");
    assert_eq!(world.paths(&ran), [""]);
    assert_eq!(world.layer(&ran.layer.unwrap())[0].mode, 0o700);
}

fn whiteouts() {
    let world = World::new();
    let paths = |script: &str| world.paths(&world.sh(script));
    assert_eq!(paths("rm /data/note"), ["data", "data/.wh.note"]);
    assert_eq!(paths("rm -r /data/full"), ["data", "data/.wh.full"]);
    assert_eq!(paths("rm -r /data/full; echo x >/data/full"), ["data", "data/full"]);
    assert_eq!(paths("rm /data/note; mkdir /data/note"), ["data", "data/note"]);
    // A folder that was made again joins the one below, and hides by name what it lacks.
    let again = ["data", "data/full", "data/full/.wh.b", "data/full/c"];
    assert_eq!(
        paths("rm -r /data/full; mkdir /data/full; cd /data/full; echo -n a >a; echo c >c"),
        again
    );
    assert_eq!(paths("rm /data/full/b; echo c >/data/full/c"), again);
    let ran = world.sh("rm /data/note");
    let entry = world.layer(&ran.layer.unwrap()).pop().unwrap();
    assert_eq!((entry.kind, entry.mode, entry.modified), (Kind::File { size: 0 }, 0, (0, 0)));
}

fn entries() {
    let world = World::new();
    let ran = world.sh(
        "mkdir /x; cd /x; echo 1 >c; ln c b; ln -s c l; mkfifo p; chown 33:44 c; chmod 4711 c; chown -h 5:6 l",
    );
    assert_eq!(world.paths(&ran), ["x", "x/b", "x/c", "x/l", "x/p"]);
    let entries = world.layer(&ran.layer.unwrap());
    // The first name in the order is the file.
    assert_eq!((&entries[1].kind, entries[1].mode), (&Kind::File { size: 2 }, 0o4711));
    assert_eq!((entries[1].uid, entries[1].gid), (33, 44));
    assert_eq!(entries[2].kind, Kind::HardLink { target: "x/b".into() });
    assert_eq!((entries[3].mode, entries[3].uid, entries[3].gid), (0o777, 5, 6));
    assert_eq!(entries[4].kind, Kind::Fifo);
    // A name of a file below, and a change: overlayfs breaks the link, and says nothing more of it.
    let ran = world.sh("ln /data/note /data/second");
    assert_eq!(world.paths(&ran), ["data", "data/second"]);
    let second = world.layer(&ran.layer.unwrap()).pop().unwrap();
    assert_eq!(second.kind, Kind::File { size: 5 });
    assert_eq!(
        second.xattrs.into_iter().collect::<Vec<_>>(),
        [("user.note".to_owned(), b"1".to_vec())]
    );
}

fn owner() {
    let world = World::new();
    let ran = world.sh("echo more >>/data/owned");
    assert_eq!(ran.warnings.len(), usize::from(!world.store.has_owners()), "{ran:?}");
    let owned = world.layer(&ran.layer.unwrap()).pop().unwrap();
    assert_eq!((owned.uid, owned.gid), (33, 44));
    assert!(owned.xattrs.is_empty(), "{owned:?}");
}

fn times() {
    let world = World::new();
    let script = "echo 1 >/data/a; touch -d @1000000000 /data/b; touch -d @-3 /data/c; touch -d @3000000000 /data/d";
    let mut step = world.step(script);
    step.source_date_epoch = Some(1_500_000_000);
    let ran = world.run(step);
    let times = |ran: &Ran| -> Vec<_> {
        world.layer(ran.layer.as_ref().unwrap()).iter().map(|entry| entry.modified).collect()
    };
    let whole = |seconds| (seconds, 0);
    let most = whole(1_500_000_000);
    assert_eq!(times(&ran), [most, most, whole(1_000_000_000), whole(-3), most]);
    let ran = world.sh("touch -d @3000000000 /data/d");
    assert!(times(&ran)[0].0 > 1_700_000_000 && times(&ran)[0].1 == 0);
    assert_eq!(times(&ran)[1], whole(3_000_000_000));
}

fn marks() {
    let world = World::new();
    for name in ["/.wh.data", "/data/.wh..wh..opq", "/data/full/.wh.a"] {
        let error =
            world.try_run(StepInput::new(world.step(&format!("echo >{name}")))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        assert!(error.to_string().contains(name.rsplit('/').next().unwrap()), "{error}");
    }
    // A device that hides files cannot be made.
    assert_ne!(world.sh("mknod /data/note2 c 0 0").code, 0);
    // Nor an attribute that overlayfs would believe; it is not in the layer.
    assert_eq!(world.sh("true").layer, None);
}

const FIRST: &str =
    "mkdir /app; echo 1 >/app/one; rm -r /data/full; chmod 711 /data; touch -d @5 /app/old";
const SECOND: &str = "cat /app/one /data/note; ls -la --full-time /app /data; echo 2 >/app/two; rm /app/old; mkdir /data/full; echo c >/data/full/c";
const THIRD: &str = "ls -laR --full-time /app /data; stat -c '%a %u %Y' / /app /data /data/full; rm -r /app/one; ln /app/two /app/three";

fn chain(world: &World, scripts: &[&str]) -> Vec<(StepLayer, String)> {
    let mut done: Vec<(StepLayer, String)> = Vec::new();
    for script in scripts {
        let layers: Vec<_> = done.iter().map(|(layer, _)| layer).collect();
        let mut step = world.step_on(&layers, script);
        step.source_date_epoch = Some(1_000_000_000);
        let ran = world.run(step);
        assert_eq!(ran.code, 0, "{ran:?}");
        done.push((ran.layer.unwrap(), ran.out));
    }
    done
}

fn same_bytes() {
    let world = World::new();
    let warm = chain(&world, &[FIRST, SECOND, THIRD]);
    assert_eq!(warm, chain(&world, &[FIRST, SECOND, THIRD]));
    assert_eq!(warm, chain(&World::new(), &[FIRST, SECOND, THIRD]));
    // On a machine that has the first layers from elsewhere: unpacked from their tars.
    for known in 1..3 {
        let other = World::new();
        for (layer, _) in &warm[..known] {
            world::add(&other.store, &world.tar(layer));
        }
        let layers: Vec<_> = warm[..known].iter().map(|(layer, _)| layer).collect();
        let mut step = other.step_on(&layers, [FIRST, SECOND, THIRD][known]);
        step.source_date_epoch = Some(1_000_000_000);
        let ran = other.run(step);
        assert_eq!((ran.layer.as_ref(), &ran.out), (Some(&warm[known].0), &warm[known].1));
        // What came from elsewhere can be read once a step has left the same.
        assert!(other.store.read_layer(&warm[0].0.diff_id).is_err());
        assert_eq!(chain(&other, &[FIRST]), warm[..1]);
        other.tar(&warm[0].0);
    }
}

fn next_step() {
    let world = World::new();
    let first = world.sh("echo 0 >/data/a; echo 1 >/data/b; ln /data/b /data/c");
    let show = "ls -la --full-time /data; stat -c '%y %a %U' /data/a /data/b /data";
    let first = first.layer.unwrap();
    let warm = world.run(world.step_on(&[&first], show));
    let other = World::new();
    world::add(&other.store, &world.tar(&first));
    let cold = other.run(other.step_on(&[&first], show));
    assert_eq!(warm.out, cold.out);
    // The fraction of a second that no layer has is gone from the files too.
    let kept = world.kind().join("layers").join(first.diff_id.hex()).join("fs/data/a");
    assert_eq!(std::os::unix::fs::MetadataExt::mtime_nsec(&std::fs::metadata(kept).unwrap()), 0);
}

/// A folder in which overlayfs has no upper layer: it is on overlayfs itself, as in a container.
fn without_overlay(place: &std::path::Path) -> bool {
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| place.join(name));
    for folder in [&lower, &upper, &work] {
        std::fs::create_dir(folder).unwrap();
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    let options = [options.clone(), format!("{options},userxattr")];
    options.iter().any(|options| {
        let options = std::ffi::CString::new(options.as_str()).unwrap();
        let store = place.join("store");
        std::fs::create_dir_all(&store).unwrap();
        rustix::mount::mount(
            "overlay",
            &store,
            "overlay",
            rustix::mount::MountFlags::empty(),
            &*options,
        )
        .is_ok()
    })
}

fn copying() {
    let overlay = World::new();
    let expected = chain(&overlay, &[FIRST, SECOND, THIRD]);
    let run = || {
        world::own_mounts();
        let place = tempfile::tempdir().unwrap();
        assert!(without_overlay(place.path()));
        let world = World::in_folder(place);
        assert_eq!(world.store.stacking(), "copying");
        let found = chain(&world, &[FIRST, SECOND, THIRD]);
        for ((found, _), (expected, _)) in found.iter().zip(&expected) {
            assert_eq!(overlay.layer(expected), world.layer(found));
            assert_eq!(found, expected);
        }
        assert_eq!(world.sh("touch /data/note").layer, None);
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap());
}

fn implied() {
    let world = World::new();
    // The layer puts a file into a folder that it does not describe.
    let above = world::add(
        &world.store,
        &world::tar(&[world::file("data/full/new", b"n"), world::file("none/f", b"")]),
    );
    let strict = world
        .sh("chmod 700 /data/full; chown 7:8 /data/full; touch -d @77 /data/full")
        .layer
        .unwrap();
    let mut step = world.step_on(
        &[&strict],
        "stat -c '%a %u %g %Y' /data/full; stat -c '%a %u' /none; echo x >/data/full/x",
    );
    step.rootfs.push(above);
    let ran = world.run(step);
    assert_eq!(ran.out, "700 7 8 77\n755 0\n");
    assert_eq!(world.paths(&ran), ["data", "data/full", "data/full/x"]);
    // And another name for a file of a layer below.
    let kind = Kind::HardLink { target: "data/note".into() };
    let link = boxwright_image::tar::Header::new("data/full/link", kind, 0o644);
    let above = world::add(&world.store, &world::tar(&[(link, b"")]));
    let mut step =
        world.step_on(&[&strict], "cat /data/full/link; stat -c '%a %u' /data/full /data");
    step.rootfs.push(above);
    assert_eq!(world.run(step).out, "lower700 7\n755 0\n");
}

fn many_layers() {
    let world = World::new();
    let layers: Vec<LayerRef> = (0..400)
        .map(|number| {
            let text: &'static [u8] = format!("{number}").leak().as_bytes();
            let own: &'static str = format!("many/{number}").leak();
            world::add(
                &world.store,
                &world::tar(&[
                    world::folder("many", 0o755),
                    world::file(own, text),
                    world::file("many/last", text),
                ]),
            )
        })
        .collect();
    for count in [127, 400] {
        let mut step = world.step("cat /many/last; ls /many | wc -l; rm /many/0; echo x >/many/x");
        step.rootfs.extend(layers[..count].iter().cloned());
        let ran = world.run(step);
        assert_eq!(ran.out, format!("{}{}\n", count - 1, count + 1), "{ran:?}");
        assert_eq!(world.paths(&ran), ["many", "many/.wh.0", "many/x"]);
    }
    let more = (0..150).map(|number| {
        let own: &'static str = format!("more/{number}").leak();
        world::add(
            &world.store,
            &world::tar(&[world::folder("more", 0o755), world::file(own, b"")]),
        )
    });
    let mut step = world.step("true");
    step.rootfs.extend(layers.iter().cloned().chain(more));
    let error = world.try_run(StepInput::new(step)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
}
