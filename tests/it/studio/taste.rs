//! Choices between pictures: what is learnt from them, that it says when it has learnt nothing, and that nothing of it stays behind.

use super::{Server, look};
use isoline::render::png::parse_picture;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A pair to choose from, once there are pictures enough.
fn pair(server: &Server, model: &str) -> Value {
    server.until("pictures to choose from", || {
        let reply = server.send("POST", "/api/taste/pairs", &json!({ "model": model }));
        assert_eq!(reply.status, 200, "{}", reply.text());
        Some(reply.json()).filter(|next| next["left"].is_object())
    })
}

fn choose(server: &Server, model: &str, pair: &Value, answer: &str) {
    let choice = json!({"model": model, "left": pair["left"]["id"], "right": pair["right"]["id"], "answer": answer});
    let reply = server.send("POST", "/api/taste/choices", &choice);
    assert_eq!(reply.status, 201, "{}", reply.text());
}

/// Mean of a picture's bytes.
fn light(server: &Server, picture: &Value) -> f64 {
    let reply = server.get(&format!("/api/pictures/{}/file", picture["id"].as_str().unwrap()));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let pixels = parse_picture(&reply.body, Path::new("a picture")).unwrap().pixels;
    pixels.iter().map(|v| f64::from(*v)).sum::<f64>() / pixels.len() as f64
}

fn learnt(server: &Server, model: &str) -> Value {
    let reply = server.get(&format!("/api/taste?model={model}"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn mean(server: &Server, pictures: &Value) -> f64 {
    let all = pictures.as_array().unwrap();
    assert!(!all.is_empty());
    all.iter().map(|p| light(server, p)).sum::<f64>() / all.len() as f64
}

#[test]
fn a_rule_is_learnt_and_answers_without_one_are_not() {
    let server = Server::start();
    server.loaded("digits-gan");
    for n in 0..90 {
        if n == 12 {
            let found = learnt(&server, "digits-gan");
            assert_eq!((found["choices"].clone(), found["unlocked"].clone()), (json!(12), json!(false)));
            assert_eq!(found["likes"], json!([]));
        }
        let pair = pair(&server, "digits-gan");
        assert_eq!(pair["number"], n);
        let answer = if light(&server, &pair["left"]) > light(&server, &pair["right"]) { "left" } else { "right" };
        choose(&server, "digits-gan", &pair, answer);
    }
    let found = learnt(&server, "digits-gan");
    println!("a rule on light, 90 pairs: {}", found["accuracy"]);
    assert_eq!((found["choices"].clone(), found["unlocked"].clone()), (json!(90), json!(true)), "{found}");
    assert!(found["accuracy"]["value"].as_f64() > Some(0.8) && found["accuracy"]["n"] == 30, "{found}");
    assert!(mean(&server, &found["likes"]) > 1.5 * mean(&server, &found["dislikes"]));
    // Other seeds are put in order by it.
    let whole = json!({"view": "test", "model": "digits-gan", "seed": "5000", "novelty": 60, "seeds": 40});
    let frames = server.look(&whole);
    let ids: Vec<&Value> = frames.iter().map(|f| &f["id"]).collect();
    let ordered = server.send("POST", "/api/taste/order", &json!({"model": "digits-gan", "ids": ids})).json();
    let ordered: Vec<Value> = ordered["ids"].as_array().unwrap().iter().map(|id| json!({ "id": id })).collect();
    assert_eq!(ordered.len(), 41);
    assert!(mean(&server, &json!(ordered[..12])) > 1.2 * mean(&server, &json!(ordered[29..])));

    // Coin tosses, and always the left one: there is no taste in either, whatever was learnt of another model.
    server.send("POST", "/api/models/digits-vae/load", &json!({}));
    server.loaded("digits-vae");
    let mut toss = 1u64;
    for _ in 0..60 {
        toss = toss.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pair = pair(&server, "digits-vae");
        choose(&server, "digits-vae", &pair, if toss >> 63 == 0 { "left" } else { "right" });
    }
    let found = learnt(&server, "digits-vae");
    println!("coin tosses: {}", found["accuracy"]);
    assert_eq!((found["choices"].clone(), found["unlocked"].clone()), (json!(60), json!(false)), "{found}");
    assert_eq!((found["likes"].clone(), found["dislikes"].clone()), (json!([]), json!([])));
    let order = json!({"model": "digits-vae", "ids": [ordered[0]["id"]]});
    assert_eq!(server.send("POST", "/api/taste/order", &order).json()["ids"], json!([]));
    assert_eq!(server.send("DELETE", "/api/taste?model=digits-vae", &json!({})).status, 204);
    for _ in 0..60 {
        let pair = pair(&server, "digits-vae");
        choose(&server, "digits-vae", &pair, "left");
    }
    let found = learnt(&server, "digits-vae");
    println!("always the left one: {} {}", found["side"], found["accuracy"]);
    assert_eq!(found["unlocked"], false, "{found}");
    assert!(found["side"].as_f64() > Some(1.0), "{found}");
    assert_eq!(learnt(&server, "digits-gan")["choices"], 90);
}

#[test]
fn a_taste_changes_no_picture_and_can_be_forgotten() {
    let mut server = Server::start();
    server.loaded("digits-gan");
    let sha = |server: &Server| server.look(&look(7, Some(82.0)))[0]["picture"]["sha8"].clone();
    let before = sha(&server);
    let star = json!({"ids": ["0123456789abcdef-1"], "star": true});
    assert_eq!(server.send("PATCH", "/api/pictures", &star).status, 200);
    let first = pair(&server, "digits-gan");
    // The pair stays until it is answered.
    assert_eq!(pair(&server, "digits-gan")["left"], first["left"]);
    choose(&server, "digits-gan", &first, "tie");
    let second = pair(&server, "digits-gan");
    choose(&server, "digits-gan", &second, "right");
    let third = pair(&server, "digits-gan");
    choose(&server, "digits-gan", &third, "skip");
    assert_eq!(learnt(&server, "digits-gan")["choices"], 2);
    for (request, status, code) in [
        // Answered already, and a pair that nobody asked about.
        (
            json!({"model": "digits-gan", "left": third["left"]["id"], "right": third["right"]["id"], "answer": "left"}),
            409,
            "state",
        ),
        (json!({"model": "digits-gan", "left": "x", "right": "y", "answer": "left"}), 409, "state"),
        (json!({"model": "digits-gan", "left": "x", "right": "y", "answer": "both"}), 422, "value"),
        (json!({"model": "digits-vae", "left": "x", "right": "y", "answer": "left"}), 409, "state"),
    ] {
        server.send("POST", "/api/taste/choices", &request).problem(status, code);
    }
    server.send("DELETE", "/api/taste/choices/last?model=digits-vae", &json!({})).problem(409, "state");
    server.get("/api/taste?model=../x").problem(409, "state");
    server.send("POST", "/api/taste/order", &json!({"model": "digits-gan", "ids": ["../x"]})).problem(422, "value");
    server.send("PATCH", "/api/settings", &json!({"weight": 101})).problem(422, "value");
    // S33: how much it counts changes no byte.
    for weight in [0, 100] {
        assert_eq!(server.send("PATCH", "/api/settings", &json!({ "weight": weight })).status, 204);
        let fresh = Server::start();
        fresh.loaded("digits-gan");
        assert_eq!((sha(&server), sha(&fresh)), (before.clone(), before.clone()));
    }
    // What is told of the model counts skipped pairs too.
    assert_eq!(learnt(&server, "digits-gan")["all"], 3);
    // The last one is taken back.
    assert_eq!(server.send("DELETE", "/api/taste/choices/last?model=digits-gan", &json!({})).status, 204);
    let all = |server: &Server| server.get("/api/taste/choices?model=digits-gan").text();
    let kept = all(&server);
    assert_eq!(kept.lines().count(), 2, "{kept}");
    assert!(kept.contains(r#""answer":"tie""#) && kept.contains(second["right"]["id"].as_str().unwrap()), "{kept}");
    // S23: the database made anew says the same.
    assert_eq!(server.stop(), 0);
    let root = std::mem::replace(&mut server.root, tempfile::tempdir().unwrap());
    let mut server = Server::start_with(root, &["--rebuild"], None);
    assert_eq!(all(&server), kept);
    // S33: forgetting leaves no choice in any file, and every mark.
    let own = server.root.path().join(".studio");
    let holding = |text: &str| {
        let files = fs::read_dir(&own).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file());
        let has = |bytes: Vec<u8>| bytes.windows(text.len()).any(|w| w == text.as_bytes());
        files.filter(|p| has(fs::read(p).unwrap())).count()
    };
    let id = second["left"]["id"].as_str().unwrap();
    assert!(holding(id) >= 2);
    assert_eq!(server.send("DELETE", "/api/taste?model=digits-gan", &json!({})).status, 204);
    assert_eq!(all(&server), "");
    assert_eq!((holding(id), holding("tie\"")), (0, 0));
    assert_eq!(holding("0123456789abcdef-1"), 2);
    server.loaded("digits-gan");
    server.send("DELETE", "/api/taste/choices/last?model=digits-gan", &json!({})).problem(404, "unknown");
    choose(&server, "digits-gan", &pair(&server, "digits-gan"), "left");
    assert_eq!(learnt(&server, "digits-gan")["choices"], 1);
    assert_eq!(server.stop(), 0);
}
