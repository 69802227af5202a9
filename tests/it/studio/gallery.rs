//! The gallery: every run below the studio's folder, what people say of pictures, keeping, and pictures that are dropped on the page.

use super::{Server, kill, look, made};
use crate::runs::isoline;
use isoline::store::sha256_hex;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

/// A studio over a folder with a run of 24 pictures at two levels.
fn filled() -> Server {
    let root = tempfile::tempdir().unwrap();
    let args = ["generate", "-q", "-m", "digits-gan", "--novelty", "20,80", "--seeds", "0-11", "-o", "night"];
    isoline(&args).cwd(root.path()).succeeds();
    Server::start_with(root, &[], None)
}

fn list(server: &Server, query: &str) -> Value {
    let reply = server.get(&format!("/api/pictures?{query}"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn ids(list: &Value) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|i| i["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn runs_of_the_command_are_seen_and_listed_in_order() {
    let server = filled();
    let all = list(&server, "");
    assert_eq!((all["total"].clone(), ids(&all).len()), (json!(24), 24));
    let reached: Vec<f64> = all["items"].as_array().unwrap().iter().map(|i| i["reached"].as_f64().unwrap()).collect();
    assert!(reached.windows(2).all(|w| w[0] <= w[1]), "{reached:?}");
    // Page by page: each once, in the same order, whatever the order is.
    for sort in ["level", "newest", "seed"] {
        let mut paged = Vec::new();
        let mut cursor = String::new();
        loop {
            let part = list(&server, &format!("sort={sort}&limit=5{cursor}"));
            paged.extend(ids(&part));
            let Some(next) = part["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(paged, ids(&list(&server, &format!("sort={sort}"))), "{sort}");
        assert_eq!(paged.iter().collect::<BTreeSet<_>>().len(), 24);
    }
    let count = |query: &str| list(&server, query)["total"].as_u64().unwrap();
    assert_eq!([count("run=night"), count("run=none"), count("model=digits-gan"), count("model=x")], [24, 0, 24, 0]);
    assert_eq!([count("q=7"), count("q=night"), count("q=%25"), count("q=zebra")], [2, 24, 0, 0]);
    assert_eq!(count("from=50") + count("to=50"), 24);
    assert_eq!([count("mark=kept"), count("mark=starred"), count("mark=binned")], [0, 0, 0]);
    for (query, status) in [
        ("sort=size", 422),
        ("sort=taste", 422),
        ("sort=taste&model=none", 409),
        ("mark=red", 422),
        ("limit=0", 422),
        ("limit=201", 422),
        ("cursor=x", 400),
        ("page=2", 400),
        ("from=low", 400),
    ] {
        assert_eq!(server.get(&format!("/api/pictures?{query}")).status, status, "{query}");
    }
    // S21: what a command makes while the studio runs appears; what is removed goes.
    let args = ["generate", "-q", "-m", "digits-vae", "--mode", "balanced", "--seeds", "0-3", "-o", "deep/er"];
    isoline(&args).cwd(server.root.path()).succeeds();
    server.until("the new run is seen", || (count("") == 28).then_some(()));
    assert_eq!(count("run=deep/er"), 4);
    fs::remove_dir_all(server.root.path().join("night")).unwrap();
    server.until("the removed run is gone", || (count("") == 4).then_some(()));
    let runs = server.get("/api/runs").json();
    assert_eq!(
        (runs.as_array().unwrap().len(), runs[0]["name"].clone(), runs[0]["done"].clone()),
        (1, json!("deep/er"), json!(4))
    );
}

#[test]
fn a_picture_is_measured_as_the_command_measures_it() {
    let server = Server::start();
    server.loaded("digits-gan");
    let frames = server.look(&json!({"view": "t", "model": "digits-gan", "seed": "3", "novelty": 90, "strip": true}));
    let measured = |slot: &str| {
        let id = frames.iter().find(|f| f["slot"] == slot).unwrap()["id"].as_str().unwrap().to_owned();
        let mut page = super::events::Listener::open(&server, "/api/events?after=0", &[]);
        assert_eq!(server.send("POST", &format!("/api/pictures/{id}/measure"), &json!({})).status, 202);
        page.until("measured", |m| m["id"] == id.as_str()).last().unwrap().data.clone()
    };
    let value = |found: &Value, name: &str| {
        found["values"].as_array().unwrap().iter().find(|v| v["name"] == name).unwrap()["value"].as_f64().unwrap()
    };
    // Without steering: what `describe` says of the seed.
    let plain = measured("balanced");
    isoline(&["describe", "digits-gan", "--seeds", "3", "-q", "--csv", "-o", "of"]).cwd(server.root.path()).succeeds();
    let table = fs::read_to_string(server.root.path().join("of/descriptors.csv")).unwrap();
    let mut lines = table.lines().map(|l| l.split(',').collect::<Vec<_>>());
    let (head, row) = (lines.next().unwrap(), lines.next().unwrap());
    for name in ["psi", "psi_k", "nu", "delta"] {
        let described: f64 = row[head.iter().position(|h| *h == name).unwrap()].parse().unwrap();
        // The same arithmetic in tiles of other shapes: rounding of f32 alone may differ.
        assert!(
            (value(&plain, name) - described).abs() <= 1e-4 * described.abs(),
            "{name}: {} {described}",
            value(&plain, name)
        );
    }
    assert_eq!((plain["estimator"].as_str(), plain["of"].clone()), (Some("exact"), json!(32)));
    let singular: Vec<f64> = plain["singular_values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert!(singular.len() == 32 && singular.windows(2).all(|w| w[0] >= w[1]), "{singular:?}");
    // A steered picture is measured where it was steered to: at the value that its own record has.
    let steered = measured("hero");
    let own = frames[0]["picture"]["value"].as_f64().unwrap();
    assert!((value(&steered, "psi_k") - own).abs() <= 1e-4 * own.abs(), "{own}");
    assert!(value(&steered, "psi_k") != value(&plain, "psi_k"));
    let unknown = "/api/pictures/0123456789abcdef-1/measure";
    server.send("POST", unknown, &json!({})).problem(410, "evicted");
}

#[test]
fn files_are_those_of_the_records_and_nothing_else() {
    let server = filled();
    let all = list(&server, "");
    for id in ids(&all) {
        let known = server.get(&format!("/api/pictures/{id}")).json();
        let file = server.get(&format!("/api/pictures/{id}/file"));
        assert_eq!((file.status, sha256_hex(&file.body)), (200, known["row"]["sha256"].as_str().unwrap().to_owned()));
        assert!(known["command"].as_str().unwrap().contains("--from"), "{known}");
        assert_eq!(known["places"][0][0], "night");
    }
    // A file that was changed, a link out of the folder, and one that is gone.
    let path = |id: &str| {
        let known = server.get(&format!("/api/pictures/{id}")).json();
        server.root.path().join(known["places"][0][1].as_str().unwrap())
    };
    let [changed, linked, gone] = [0, 1, 2].map(|i| ids(&all)[i].clone());
    let get = |id: &str| server.get(&format!("/api/pictures/{id}/file"));
    fs::write(path(&changed), "no picture").unwrap();
    get(&changed).problem(409, "state");
    let (target, link) = (tempfile::NamedTempFile::new().unwrap(), path(&linked));
    fs::write(&target, fs::read(&link).unwrap()).unwrap();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(target.path(), &link).unwrap();
    get(&linked).problem(410, "evicted");
    fs::remove_file(path(&gone)).unwrap();
    get(&gone).problem(410, "evicted");
    // A damaged record is counted, and its run says so.
    let records = server.root.path().join("night/novelty-20/records");
    let record = fs::read_dir(&records).unwrap().next().unwrap().unwrap().path();
    isoline::store::write_atomic(&record, b"{").unwrap();
    server.until("the damage is seen", || (server.get("/api/runs").json()[0]["damaged"] == 1).then_some(()));
}

#[test]
fn a_kept_picture_is_the_one_that_generate_makes() {
    let server = Server::start();
    server.loaded("digits-gan");
    let dir = tempfile::tempdir().unwrap();
    for (i, (seed, novelty, args)) in [
        (23, Some(82.0), ["--novelty", "82", "--seeds", "23"]),
        (24, Some(82.0), ["--novelty", "82", "--seeds", "24"]),
        (5, None, ["--mode", "balanced", "--seeds", "5"]),
    ]
    .into_iter()
    .enumerate()
    {
        let frame = server.look(&look(seed, novelty))[0].clone();
        let id = frame["id"].as_str().unwrap();
        let kept = server.send("POST", "/api/keep", &json!({"id": id}));
        assert_eq!(kept.status, 201, "{}", kept.text());
        let run = kept.json()["run"].as_str().unwrap().to_owned();
        assert!(run.starts_with("kept-digits-gan-"), "{run}");
        server.until("it is kept", || (list(&server, "mark=kept")["total"] == i as u64 + 1).then_some(()));
        let folder = dir.path().join(i.to_string());
        fs::create_dir(&folder).unwrap();
        let file = server.root.path().join(&run).join(format!("images/{seed:06}.png"));
        assert_eq!(sha256_hex(&fs::read(file).unwrap()), made(&folder, &args));
        assert_eq!(server.send("POST", "/api/keep", &json!({"id": id})).status, 200);
        server.until("the folder is free again", || {
            let verify = isoline(&["resume", "-q", &run]).cwd(server.root.path()).run();
            (verify.code == 0).then_some(())
        });
        isoline(&["verify", "-q", &run]).cwd(server.root.path()).succeeds();
    }
    // Several at once, of seeds that lie in tiles before and behind each other: all are made.
    let seeds = [4000u64, 7, 901, 33, 8000, 120];
    let frames: Vec<String> =
        seeds.iter().map(|s| server.look(&look(*s, Some(82.0)))[0]["id"].as_str().unwrap().to_owned()).collect();
    std::thread::scope(|scope| {
        for id in &frames {
            let server = &server;
            scope.spawn(move || assert_eq!(server.send("POST", "/api/keep", &json!({"id": id})).status, 201));
        }
    });
    server.until("all are kept", || (list(&server, "mark=kept")["total"] == 9).then_some(()));
    server.until("the folder is whole and free", || {
        let run =
            server.send("POST", "/api/keep", &json!({"id": frames[0]})).json()["run"].as_str().unwrap().to_owned();
        let verify = isoline(&["verify", "-q", &run]).cwd(server.root.path()).run();
        let free = isoline(&["resume", "-q", &run]).cwd(server.root.path()).run();
        (verify.code == 0 && free.code == 0).then_some(())
    });
    server.send("POST", "/api/keep", &json!({"id": "0123456789abcdef-1"})).problem(410, "evicted");
    server.send("POST", "/api/keep", &json!({"id": "../x-1"})).problem(404, "unknown");
}

#[test]
fn marks_are_on_the_disk_once_they_are_answered() {
    let mut server = filled();
    let all = ids(&list(&server, ""));
    let mark = |s: &Server, body: Value| {
        let reply = s.send("PATCH", "/api/pictures", &body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["undo"].as_u64().unwrap()
    };
    mark(&server, json!({"ids": &all[..5], "star": true, "add": ["red", "<script>alert(1)</script>"]}));
    mark(&server, json!({"ids": [&all[0]], "alt": "a seven with a hat"}));
    let bin = mark(&server, json!({"ids": &all[10..], "binned": true}));
    let count = |s: &Server, query: &str| list(s, query)["total"].as_u64().unwrap();
    let marks = |s: &Server| [count(s, ""), count(s, "mark=starred"), count(s, "mark=binned"), count(s, "q=red")];
    assert_eq!(marks(&server), [10, 5, 14, 5]);
    // S31: killed right after the answer, they are there.
    kill(server.pid(), "KILL");
    let root = std::mem::replace(&mut server.root, tempfile::tempdir().unwrap());
    let mut again = Server::start_with(root, &[], None);
    assert_eq!(marks(&again), [10, 5, 14, 5]);
    // What a crash forgot cannot be taken back by its number any more, what came after it can.
    again.send("POST", &format!("/api/undo/{bin}"), &json!({})).problem(404, "unknown");
    let undo = mark(&again, json!({"ids": &all[..10], "star": true, "remove": ["red"], "alt": ""}));
    assert_eq!(marks(&again), [10, 10, 14, 0]);
    assert_eq!(again.send("POST", &format!("/api/undo/{undo}"), &json!({})).status, 204);
    assert_eq!(marks(&again), [10, 5, 14, 5]);
    // Taking back one change leaves what was said later.
    let tagged = mark(&again, json!({"ids": [&all[9]], "add": ["later"]}));
    mark(&again, json!({"ids": [&all[9]], "star": true}));
    assert_eq!(again.send("POST", &format!("/api/undo/{tagged}"), &json!({})).status, 204);
    let kept = again.get(&format!("/api/pictures/{}", all[9])).json();
    assert_eq!((kept["star"].clone(), kept["tags"].clone()), (json!(true), json!([])));
    mark(&again, json!({"ids": [&all[9]], "star": false}));
    let first = |s: &Server| s.get(&format!("/api/pictures/{}", all[0])).json();
    let before = first(&again);
    assert_eq!(
        (before["alt"].as_str(), before["tags"].clone()),
        (Some("a seven with a hat"), json!(["<script>alert(1)</script>", "red"]))
    );
    // S23: without its database the studio knows the same.
    assert_eq!(again.stop(), 0);
    let root = std::mem::replace(&mut again.root, tempfile::tempdir().unwrap());
    let rebuilt = Server::start_with(root, &["--rebuild"], None);
    assert_eq!((marks(&rebuilt), first(&rebuilt)), ([10, 5, 14, 5], before));
    for (bad, at) in [
        (json!({"ids": [], "star": true}), "ids"),
        (json!({"ids": ["../x"], "star": true}), "ids"),
        (json!({"ids": [&all[0]], "add": [""]}), "add"),
        (json!({"ids": [&all[0]], "add": ["x".repeat(65)]}), "add"),
        (json!({"ids": [&all[0]], "alt": "x".repeat(501)}), "alt"),
    ] {
        assert_eq!(rebuilt.send("PATCH", "/api/pictures", &bad).problem(422, "value")["at"], at);
    }
    // As many as may be marked at once fit into one request.
    let many: Vec<String> = (0..5000).map(|i| format!("0123456789abcdef-{i}")).collect();
    assert_eq!(rebuilt.send("PATCH", "/api/pictures", &json!({"ids": many, "star": true})).json()["changed"], 5000);
    assert_eq!(marks(&rebuilt), [10, 5, 14, 5]);
}

#[test]
fn a_dropped_picture_says_what_it_is() {
    let server = filled();
    let drop =
        |bytes: &[u8]| server.ask("POST", "/api/recipes", &[("X-Isoline", "1"), ("Content-Type", "image/png")], bytes);
    let file = fs::read(server.root.path().join("night/novelty-80/images/000007.png")).unwrap();
    let said = drop(&file).json();
    assert_eq!(said, json!({"seed": "7", "model": "digits-gan", "asked": 80.0, "model_here": "same", "problems": []}));
    // One of another model, one of a model that changed, and what is no picture of ours.
    let text = String::from_utf8_lossy(&file).into_owned();
    assert!(text.contains("digits-gan"));
    let edited = |from: &str, to: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.png");
        let own = isoline::acts::generate::PictureRecipe::read(
            &server.root.path().join("night/novelty-80/images/000007.png"),
        )
        .unwrap();
        let json = serde_json::to_string(&own).unwrap().replace(from, to);
        let picture =
            isoline::render::png::read_picture(&server.root.path().join("night/novelty-80/images/000007.png")).unwrap();
        let text = isoline::render::png::PngText { parameters: None, isoline: Some(json) };
        fs::write(&path, isoline::render::png::encode(&picture, &text).unwrap()).unwrap();
        drop(&fs::read(&path).unwrap())
    };
    assert_eq!(edited("\"model\":\"digits-gan\"", "\"model\":\"elsewhere\"").json()["model_here"], "absent");
    assert_eq!(edited("\"model_sha256\":\"", "\"model_sha256\":\"0").json()["model_here"], "other");
    // A name that is a path, a number beyond its range, a key that is unknown: nothing is looked up for them.
    let path = edited("\"model\":\"digits-gan\"", "\"model\":\"../../etc\"");
    assert_eq!((path.status, path.json()["model_here"].clone()), (200, json!("absent")));
    edited("\"tile\":16", "\"tile\":1000000").problem(422, "value");
    edited("\"tile\":16", "\"tile\":16,\"run\":1").problem(422, "value");
    for bytes in [&b"no picture"[..], b"\x89PNG\r\n\x1a\n", b"<html>", &file[..200]] {
        drop(bytes).problem(422, "value");
    }
    drop(&vec![0; 9 << 20]).problem(413, "too_large");
}

#[test]
fn a_picture_is_made_again_and_compared() {
    let server = filled();
    let all = ids(&list(&server, ""));
    let mut page = super::events::Listener::open(&server, "/api/events", &[]);
    let mut check = |id: &str| {
        assert_eq!(server.send("POST", &format!("/api/pictures/{id}/check"), &json!({})).status, 202);
        page.until("checked", |c| c["id"] == id).pop().unwrap().data
    };
    let length = server.get(&format!("/api/pictures/{}/file", all[0])).body.len();
    assert_eq!(check(&all[0]), json!({"id": all[0], "bytes": length, "largest": null, "error": null}));
    // One that was only looked at.
    server.loaded("digits-gan");
    let looked = server.look(&look(77, Some(33.0)))[0]["id"].as_str().unwrap().to_owned();
    assert_eq!((check(&looked)["largest"].clone(), check(&looked)["error"].clone()), (json!(null), json!(null)));
    // Another picture under its name, and a file that is none.
    let path = |id: &str| {
        let known = server.get(&format!("/api/pictures/{id}")).json();
        server.root.path().join(known["places"][0][1].as_str().unwrap())
    };
    let mut picture = isoline::render::png::read_picture(&path(&all[1])).unwrap();
    let text = isoline::render::png::decode_metadata(&path(&all[1])).unwrap();
    picture.pixels[400] = picture.pixels[400].wrapping_add(40);
    let text = isoline::render::png::PngText { parameters: None, isoline: Some(text) };
    fs::write(path(&all[1]), isoline::render::png::encode(&picture, &text).unwrap()).unwrap();
    let found = check(&all[1]);
    assert!(found["largest"].as_u64() >= Some(40), "{found}");
    fs::write(path(&all[2]), "no picture").unwrap();
    assert!(check(&all[2])["error"].as_str().unwrap().contains("expected a PNG"));
    assert_eq!(fs::read_dir(server.root.path().join(".studio/again")).unwrap().count(), 0);
    server.send("POST", "/api/pictures/0123456789abcdef-1/check", &json!({})).problem(410, "evicted");
}

#[test]
fn chosen_pictures_are_saved_in_one_file() {
    let server = filled();
    let all = ids(&list(&server, ""));
    let make = |kind: &str, ids: &[String]| server.send("POST", "/api/exports", &json!({"ids": ids, "as": kind}));
    let fetch = |made: &super::Reply| {
        assert_eq!(made.status, 201, "{}", made.text());
        let file = server.get(&format!("/api/exports/{}", made.json()["export"].as_str().unwrap()));
        assert!(file.headers["content-disposition"].starts_with("attachment"));
        assert_eq!(file.body.len() as u64, made.json()["bytes"].as_u64().unwrap());
        file.body
    };
    let twice: Vec<String> = all[..5].iter().chain(&all[..5]).cloned().collect();
    let zip = fetch(&make("zip", &twice));
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    assert_eq!(zip.len(), 6);
    for id in &all[..5] {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut zip.by_name(&format!("{id}.png")).unwrap(), &mut bytes).unwrap();
        assert_eq!(bytes, server.get(&format!("/api/pictures/{id}/file")).body);
    }
    let csv = String::from_utf8(fetch(&make("csv", &all))).unwrap();
    assert_eq!(csv.lines().count(), 25);
    let lines = String::from_utf8(fetch(&make("jsonl", &all[..2]))).unwrap();
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(
        (lines.lines().count(), first["id"].as_str(), first["sample"]["novelty_asked"].is_number()),
        (2, Some(all[0].as_str()), true)
    );
    make("png", &all).problem(422, "value");
    make("zip", &[]).problem(422, "value");
    make("zip", &["0123456789abcdef-1".into()]).problem(404, "unknown");
    for path in ["x.zip", "../../studio.db", "0123456789abcdef.exe", "..%2f..%2fstudio.db"] {
        server.get(&format!("/api/exports/{path}")).problem(404, "unknown");
    }
}
