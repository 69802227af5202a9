//! Looking: which pictures come, that they are those of `isoline generate`, and what is refused.

use super::{Server, look, made};
use isoline::store::sha256_hex;
use serde_json::json;

/// The file of a frame.
fn file(server: &Server, frame: &serde_json::Value) -> Vec<u8> {
    let path = format!(
        "/api/pictures/{}/file?v={}",
        frame["id"].as_str().unwrap(),
        frame["picture"]["sha8"].as_str().unwrap()
    );
    let reply = server.get(&path);
    assert_eq!((reply.status, reply.headers["content-type"].as_str()), (200, "image/png"));
    assert!(reply.headers["cache-control"].contains("immutable"), "{:?}", reply.headers);
    reply.body
}

#[test]
fn a_look_is_the_picture_that_generate_makes() {
    let server = Server::start();
    server.loaded("digits-gan");
    let whole = json!({"view": "test", "model": "digits-gan", "seed": "23", "novelty": 82, "strip": true, "seeds": 12});
    let frames = server.look(&whole);
    let slots: Vec<&str> = frames.iter().map(|f| f["slot"].as_str().unwrap()).collect();
    assert_eq!(slots[..8], ["hero", "balanced", "strip-5", "strip-20", "strip-40", "strip-60", "strip-80", "strip-95"]);
    assert_eq!((slots.len(), slots[8], slots[19]), (20, "seed-24", "seed-35"));
    let dir = tempfile::tempdir().unwrap();
    // S3: without steering; S4: at a level. The strip was made in company, `generate` makes one picture alone.
    for (slot, args) in [
        ("balanced", ["--mode", "balanced", "--seeds", "23"]),
        ("hero", ["--novelty", "82", "--seeds", "23"]),
        ("strip-5", ["--novelty", "5", "--seeds", "23"]),
        ("strip-95", ["--novelty", "95", "--seeds", "23"]),
        ("seed-30", ["--novelty", "82", "--seeds", "30"]),
    ] {
        let frame = frames.iter().find(|f| f["slot"] == slot).unwrap();
        let folder = dir.path().join(slot);
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(sha256_hex(&file(&server, frame)), made(&folder, &args), "{slot}");
    }
    let hero = &frames[0]["picture"];
    assert_eq!(hero["asked"], 82.0);
    assert!((hero["reached"].as_f64().unwrap() - 82.0).abs() < 3.0, "{hero}");
    // The whole row can be asked for, and the file saved under a name.
    let id = frames[0]["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/api/pictures/{id}")).json()["row"]["novelty_asked"], 82.0);
    let saved = server.get(&format!("/api/pictures/{id}/file?save=true"));
    assert_eq!(saved.headers["content-disposition"], format!("attachment; filename=\"isoline-{id}.png\""));
    let tag = saved.headers["etag"].clone();
    let again = server.ask("GET", &format!("/api/pictures/{id}/file"), &[("If-None-Match", &tag)], b"");
    assert_eq!((again.status, again.body.len()), (304, 0));
}

#[test]
fn looks_are_the_same_alone_and_in_company() {
    // S5: every level of a strip, alone and in the strip.
    for model in ["digits-gan", "digits-vae"] {
        let server = Server::start_with(tempfile::tempdir().unwrap(), &["-m", model], None);
        server.loaded(model);
        let alone = tempfile::tempdir().unwrap();
        let other = Server::start_with(alone, &["-m", model], None);
        other.loaded(model);
        for seed in (0..64).chain([u64::MAX]).map(|s| s.to_string()) {
            let strip = json!({"view": "a", "model": model, "seed": seed, "novelty": null, "strip": true});
            for frame in server.look(&strip) {
                let one = json!({"view": "a", "model": model, "seed": seed, "novelty": frame["asked"]});
                let single = &other.look(&one)[0];
                assert_eq!(frame["id"], single["id"]);
                assert_eq!(frame["picture"]["sha8"], single["picture"]["sha8"], "{model} {seed} {frame}");
                assert_eq!(frame["picture"]["reached"], single["picture"]["reached"]);
            }
        }
        let checked = |s: &Server| {
            s.get("/api/models").json().as_array().unwrap().iter().find(|m| m["id"] == model).unwrap()["exact"].clone()
        };
        server.until("the self-check", || (checked(&server) == true).then_some(()));
    }
}

#[test]
fn a_strip_costs_two_calls() {
    // S7: one for the picture without steering, one for the six levels, beside that for the large picture. How many fit into a
    // call is known once a few were made.
    let server = Server::start();
    server.loaded("digits-gan");
    let strip =
        |seed: u64| json!({"view": "a", "model": "digits-gan", "seed": seed.to_string(), "novelty": 82, "strip": true});
    (0..4).for_each(|seed| drop(server.look(&strip(seed))));
    let calls = || server.figure("isoline_worker_calls_total{kind=\"look\"}");
    let pictures = || server.figure("isoline_looks_total");
    let before = (calls(), pictures());
    server.look(&strip(9));
    assert_eq!((calls() - before.0, pictures() - before.1), (3.0, 8.0));
    assert_eq!([server.figure("isoline_worker_up"), server.figure("isoline_worker_starts_total")], [1.0, 1.0]);
}

#[test]
fn a_dragged_slider_makes_few_pictures_and_ends_at_the_last_value() {
    let server = Server::start();
    server.loaded("digits-gan").look(&look(5, Some(1.0)));
    let before = std::fs::read_dir(server.root.path().join(".studio/cache")).unwrap().count();
    for i in 0..200 {
        let reply = server.send("POST", "/api/looks", &look(5, Some(f64::from(i) / 2.0)));
        assert_eq!(reply.status, 202);
    }
    let last = &server.look(&look(5, Some(99.5)))[0];
    assert_eq!(last["asked"], 99.5);
    // Two files for each picture: only a few of the 200 values were made.
    let made = (std::fs::read_dir(server.root.path().join(".studio/cache")).unwrap().count() - before) / 2;
    println!("200 values, {made} pictures");
    assert!(made < 200, "{made} pictures");
}

/// Of a slow model, what is being made gives way to a large picture, and all that was promised comes in the end.
#[test]
fn slow_pictures_give_way_and_none_is_lost() {
    let server = Server::start_with(tempfile::tempdir().unwrap(), &["-m", "digits-diffusion"], None);
    server.loaded("digits-diffusion");
    let of = |view: &str, seed: u64, novelty: u64, strip: bool| json!({"view": view, "model": "digits-diffusion", "seed": seed.to_string(), "novelty": novelty, "strip": strip});
    let ask = |look: &serde_json::Value| -> Vec<String> {
        let reply = server.send("POST", "/api/looks", look);
        assert_eq!(reply.status, 202);
        reply.json()["frames"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap().to_owned()).collect()
    };
    let there = |id: &String| server.get(&format!("/api/pictures/{id}")).status == 200;
    let pause = |ms| std::thread::sleep(std::time::Duration::from_millis(ms));
    // How long one takes is known after the first. Then a strip is begun, and given up for another level of the same page.
    server.look(&of("a", 7, 60, false));
    let strip = ask(&of("a", 7, 60, true));
    pause(300);
    let first = ask(&of("a", 7, 80, true));
    pause(300);
    // Another page asks for what may be in hand, and the first goes to the next seed and comes back.
    let other = ask(&of("b", 7, 80, false));
    ask(&of("a", 8, 80, false));
    pause(300);
    let last = ask(&of("a", 7, 80, true));
    for id in strip.iter().chain(&first).chain(&other).chain(&last) {
        server.until("every picture", || there(id).then_some(()));
    }
    // A strip of another seed is begun each time; sooner or later a large picture finds one in its way.
    let seed = std::cell::Cell::new(100);
    server.until("a strip to give way", || {
        seed.set(seed.get() + 1);
        ask(&of("a", seed.get(), 60, true));
        server.until("its large picture", || {
            let of = of("a", seed.get(), 60, false);
            let reply = server.send("POST", "/api/looks", &of).json();
            (reply["frames"][0]["state"] == "ready").then_some(())
        });
        pause(200);
        ask(&of("b", seed.get(), 75, false));
        pause(1_500);
        (server.figure("isoline_looks_dropped_total") > 0.0).then_some(())
    });
}

#[test]
fn models_are_listed_and_their_spread_is_that_of_the_calibration() {
    let server = Server::start();
    let all = server.get("/api/models").json();
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert!(
        names.contains(&"digits-gan") && names.contains(&"peeps") && names.contains(&"digits-diffusion"),
        "{names:?}"
    );
    // A classifier and a generator of showers make no pictures.
    assert!(!names.contains(&"peeps-attributes") && !names.contains(&"showers"), "{names:?}");
    let gan = all.as_array().unwrap().iter().find(|m| m["id"] == "digits-gan").unwrap();
    assert_eq!((gan["shape"].clone(), gan["rewards"].clone()), (json!([1, 28, 28]), json!([""])));
    let spread = server.get("/api/models/digits-gan/spread").json();
    let quantiles: Vec<f64> = spread["quantiles"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert!(quantiles.len() == 101 && quantiles.windows(2).all(|w| w[0] <= w[1]));
    let counts: u64 = spread["bins"].as_array().unwrap().iter().map(|b| b["count"].as_u64().unwrap()).sum();
    assert_eq!((Some(counts), spread["bins"].as_array().unwrap().len()), (spread["samples"].as_u64(), 90));
    // The value measured of a picture lies at its percentile of the spread.
    server.loaded("digits-gan");
    let picture = server.look(&look(1, Some(40.0)))[0]["picture"].clone();
    let (value, reached) = (picture["value"].as_f64().unwrap(), picture["reached"].as_f64().unwrap());
    let at = reached as usize;
    assert!(quantiles[at] <= value && value <= quantiles[at + 1], "{value} at {reached}");
    server.get("/api/models/digits-diffusion/spread?reward=denoiser").json();
    server.get("/api/models/none/spread").problem(404, "unknown");
    server.get("/api/models/peeps-diffusion/spread").problem(404, "unknown");
    server.get("/api/models/digits-gan/spread?reward=none").problem(422, "value");
    server.get("/api/models/digits-gan/spread?prize=none").problem(400, "bad_query");
}

#[test]
fn a_model_without_a_reward_is_shown_without_novelty() {
    let server = Server::start_with(tempfile::tempdir().unwrap(), &["-m", "peeps-diffusion"], None);
    server.loaded("peeps-diffusion");
    let model =
        |novelty: serde_json::Value| json!({"view": "a", "model": "peeps-diffusion", "seed": "1", "novelty": novelty});
    let problem = server.send("POST", "/api/looks", &model(json!(80))).problem(422, "value");
    assert!(problem["hint"].as_str().unwrap().contains("isoline train-reward --model peeps-diffusion"), "{problem}");
    let frame = &server.look(&model(json!(null)))[0];
    assert_eq!((frame["picture"]["status"].as_str(), &frame["picture"]["reached"]), (Some("unmeasured"), &json!(null)));
    file(&server, frame);
}

#[test]
fn what_cannot_be_looked_at_is_refused_with_its_field() {
    let server = Server::start();
    server.loaded("digits-gan");
    let with = |key: &str, value: serde_json::Value| {
        let mut body = look(1, Some(50.0));
        body[key] = value;
        server.send("POST", "/api/looks", &body)
    };
    for (key, value) in [
        ("seed", json!("-1")),
        ("seed", json!("18446744073709551616")),
        ("seed", json!("+1")),
        ("seed", json!("")),
        ("seeds", json!(64)),
        ("view", json!("")),
        ("view", json!("../x")),
        ("view", json!("v".repeat(65))),
    ] {
        let problem = with(key, value.clone()).problem(422, "value");
        assert_eq!(problem["at"], key, "{value}: {problem}");
    }
    for (key, value) in [
        ("seed", json!(7)),
        ("novelty", json!(101)),
        ("novelty", json!(-0.5)),
        ("novelty", json!("high")),
        ("seeds", json!(-1)),
        ("extra", json!(1)),
    ] {
        with(key, value).problem(422, "value");
    }
    with("model", json!("digits-vae")).problem(409, "state");
    with("model", json!("none")).problem(409, "state");
    server.send("POST", "/api/models/none/load", &json!({})).problem(404, "unknown");
    server.send("POST", "/api/models/digits-gan/load", &json!({"reward": "../x"})).problem(422, "value");
    server.get("/api/pictures/0123456789abcdef-1/file").problem(410, "evicted");
    server.get("/api/pictures/0123456789abcdef-1").problem(410, "evicted");
    server.get("/api/pictures/x/file").problem(404, "unknown");
    assert_eq!(server.send("DELETE", "/api/looks/test", &json!({})).status, 204);
    // A reward that is not there: the load is taken, and the model says why it failed.
    assert_eq!(server.send("POST", "/api/models/digits-gan/load", &json!({"reward": "none"})).status, 202);
    let mut asked = look(1, Some(50.0));
    asked["reward"] = json!("none");
    let why = server.until("the failure", || {
        let reply = server.send("POST", "/api/looks", &asked);
        (reply.status == 503).then(|| reply.problem(503, "worker"))
    });
    assert!(why["detail"].as_str().unwrap().contains("no reward here"), "{why}");
}

#[test]
fn variations_are_those_that_generate_makes() {
    let server = Server::start();
    server.loaded("digits-gan");
    let dir = tempfile::tempdir().unwrap();
    let ring = |id: &str, angle: f64| {
        let mut body = look(23, None);
        body["around"] = json!({"id": id, "angle": angle});
        let frames = server.look(&body);
        let ring: Vec<serde_json::Value> =
            frames.into_iter().filter(|f| f["slot"].as_str().unwrap().starts_with("vary-")).collect();
        assert_eq!(ring.len(), 8);
        ring
    };
    // Round a steered picture, and round one of its variations.
    let hero = server.look(&look(23, Some(82.0)))[0].clone();
    let first = ring(hero["id"].as_str().unwrap(), 0.3);
    let second = ring(first[4]["id"].as_str().unwrap(), 0.1);
    let steered = dir.path().join("hero.png");
    isoline::store::write_atomic(&steered, &file(&server, &hero)).unwrap();
    let one = dir.path().join("one.png");
    isoline::store::write_atomic(&one, &file(&server, &first[4])).unwrap();
    for (name, centre, angle, ring) in [("a", "hero.png", "0.3", &first), ("b", "one.png", "0.1", &second)] {
        let args = ["generate", "-q", "--vary", centre, "--angle", angle, "--count", "8", "-o", name];
        crate::runs::isoline(&args).cwd(dir.path()).succeeds();
        for (i, frame) in ring.iter().enumerate() {
            let made = std::fs::read(dir.path().join(name).join(format!("images/{:06}.png", i + 1))).unwrap();
            assert_eq!(sha256_hex(&file(&server, frame)), sha256_hex(&made), "{name} {i}");
        }
    }
    // A variation is kept like any other picture.
    let id = first[4]["id"].as_str().unwrap();
    let kept = server.send("POST", "/api/keep", &json!({"id": id}));
    assert_eq!(kept.status, 201, "{}", kept.text());
    let path = server.root.path().join(kept.json()["run"].as_str().unwrap()).join("images/000005.png");
    server.until("it is kept", || path.is_file().then_some(()));
    assert_eq!(std::fs::read(path).unwrap(), file(&server, &first[4]));
    for (around, status) in [
        (json!({"id": "0123456789abcdef-1", "angle": 0.2}), 410),
        (json!({"id": "x", "angle": 0.2}), 410),
        (json!({"id": hero["id"], "angle": 0.0}), 422),
        (json!({"id": hero["id"], "angle": 4.0}), 422),
        (json!({"id": hero["id"]}), 422),
    ] {
        let mut body = look(23, None);
        body["around"] = around.clone();
        assert_eq!(server.send("POST", "/api/looks", &body).status, status, "{around}");
    }
}
